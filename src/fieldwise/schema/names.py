"""What the name of a column says about its values: the words that names are judged by, in one table."""

from __future__ import annotations

import re
from typing import Literal


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUANTITY_WORDS = _words(
    """
    price prices cost costs amount amt fee fees tax salary income revenue sales spend spent budget bid balance
    count counts cnt qty quantity total totals sum avg average mean median percent percentage pct ratio rate
    age ages duration seconds secs sec minutes mins hours days weeks months years ms millis since elapsed delay
    latency dwell recency gap lag frequency freq clicks views impressions imps visits orders purchases likes
    shares followers friends installs points population distance weight volume speed temperature bytes delta diff
    """
)
_SCALE_WORDS = _words("size width height length depth rating score level discount")
_IDENTITY_WORDS = _words(
    """
    id ids key keys code codes zip zipcode postcode uuid guid hash no nr index version flag
    type category group bucket band bin class segment range
    """
)
_THING_WORDS = _words(
    """
    user users customer member seller author artist item product brand model movie song genre ad ads advertiser
    campaign creative publisher position slot device phone browser os ip site app page url domain channel shop store
    query session account city country region state language gender sex occupation color
    hour weekday day week month quarter year date timestamp epoch
    """
)
_LEADS = _words("num number n nb no count total sum avg average mean median min max")
_CLOCK_WORDS = _words(
    "timestamp ts time epoch unixtime datetime date dt day hour at created updated modified when moment"
)
_CALENDAR_WORDS = _CLOCK_WORDS | _words("minute second weekday week month quarter year since")
_VERSION_WORDS = _words("version")

Meaning = Literal["quantity", "scale", "identity"]


def split_name(name: str) -> list[str]:
    """The words of a column name in lower case, split at punctuation, blanks, digits and camelCase.

    Example:
        >>> split_name("numClicks_last7days")
        ['num', 'clicks', 'last', '7', 'days']
    """
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+", name)]


def meaning_of(name: str) -> tuple[Meaning, str] | None:
    """What a column name says about whole numbers.

    The last word that tells a quantity or an identity decides: "user_age" is a quantity, "price_id" is none.
    Things and calendar words ("user", "hour") tell an identity where nothing else is said.

    Args:
        name: of the column.

    Returns:
        The meaning, and the word that says it; None where the name says nothing.

    Example:
        >>> meaning_of("user_age"), meaning_of("price_id"), meaning_of("x1")
        (('quantity', 'age'), ('identity', 'id'), None)
    """
    words = split_name(name)
    if not words:
        return None
    leads = words[0] in _LEADS and len(words) > 1 and words[1].isalpha() and words[-1] not in _IDENTITY_WORDS
    if words in (["num"], ["number"]) or (leads and (words[0] not in ("no", "count") or words[1] == "of")):
        return "quantity", words[0]
    for word in reversed(words):
        if word in _QUANTITY_WORDS:
            return "quantity", word
        if word in _SCALE_WORDS:
            return "scale", word
        if word in _IDENTITY_WORDS:
            return "identity", word
    return next((("identity", word) for word in reversed(words) if word in _THING_WORDS), None)


def is_clock(name: str) -> bool:
    """Whether a column name says that its numbers are moments."""
    return not _CLOCK_WORDS.isdisjoint(split_name(name))


def is_calendar(word: str) -> bool:
    """Whether a word of a column name is one of the clock or the calendar."""
    return word in _CALENDAR_WORDS


def is_version(name: str) -> bool:
    """Whether a column name says that its numbers are versions, which name a thing although they have fractions."""
    return not _VERSION_WORDS.isdisjoint(split_name(name))
