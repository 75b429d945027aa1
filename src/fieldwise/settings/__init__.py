"""Settings: everything that may be chosen about a run, typed, with the names that the field uses.

documents   what there is to choose
trees       the settings of LightGBM and CatBoost
resolve     from a model's name, a TOML file and single overrides to complete settings
names       old names, which are still understood
catalogue   every setting with its meaning, default and values
"""

from fieldwise.settings.documents import DataSettings, SearchSettings, Settings, TrainingSettings
from fieldwise.settings.resolve import parse_override, resolve_settings

__all__ = ["DataSettings", "SearchSettings", "Settings", "TrainingSettings", "parse_override", "resolve_settings"]
