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
    sku asin isbn ean upc gtin idfa gaid imei imsi md5 sha fingerprint
    type category cat group bucket band bracket bin class segment cluster cohort range
    """
)
# Ordinary words that end in "id" as names of identities do (uid, itemid).
_NOT_IDS = _words(
    """
    paid unpaid prepaid repaid overpaid underpaid bid overbid underbid grid mid kid lid aid raid maid laid said amid
    did hid rid slid skid void avoid valid invalid solid liquid fluid humid rapid rigid vivid acid avid arid timid
    hybrid android asteroid steroid covid squid druid
    """
)
_THING_WORDS = _words(
    """
    user customer member seller buyer author artist item product brand model movie song genre ad advertiser
    campaign creative publisher position slot device phone browser os sdk ip site app page url domain channel shop store
    query session account city country region state language gender sex occupation color colour
    status tier plan center centre strategy source medium method mode kind reason label tag name plate
    zone area location place market currency policy rule scheme option variant format style platform network carrier
    provider vendor supplier agency agent partner industry sector department division office branch warehouse route
    """
)
_THINGS = _words("users customers ads items products campaigns pages")
_CALENDAR_THINGS = _words("hour weekday day week month quarter year date timestamp epoch")
_LEADS = _words("num number n nb no count total sum avg average mean median min max")
# "price_per_item" is a price, "type_of_price" is a type.
_LINKS = _words("of per by for from in on at to with within during since")
# In front of a single thing these tell which one it is, not how many there are.
_CHOOSING_LEADS = _words("min max number")
_CLOCK_WORDS = _words(
    "timestamp ts time epoch unixtime datetime date dt day hour at created updated modified when moment"
)
_CALENDAR_WORDS = _CLOCK_WORDS | _words("minute second weekday week month quarter year since")
_VERSION_WORDS = _words("version")
_TIME_UNITS = _words("ms millis sec secs seconds")

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

    The last word that tells a quantity, an identity or a thing decides: "user_age" is a quantity, "price_id" and
    "price_tier" are none. Words behind "per", "of" and the like do not count. Words that end in "id" are identities,
    but for ordinary ones ("paid"). Calendar words and things in the plural tell an identity where nothing else does.

    Args:
        name: of the column.

    Returns:
        The meaning, and the word that says it; None where the name says nothing.

    Example:
        >>> meaning_of("user_age"), meaning_of("price_id"), meaning_of("x1")
        (('quantity', 'age'), ('identity', 'id'), None)
        >>> meaning_of("sales_channel"), meaning_of("channel_sales"), meaning_of("price_per_item")
        (('identity', 'channel'), ('quantity', 'sales'), ('quantity', 'price'))
    """
    every = split_name(name)
    if not every:
        return None
    link = next((i for i, word in enumerate(every) if i and word in _LINKS), len(every))
    words = every[:link]
    counted = every[link : link + 1] == ["of"]
    if words in (["num"], ["number"]) or (counted and words in (["no"], ["count"])) or _leads(words):
        return "quantity", words[0]
    for word in reversed(words):
        if word in _QUANTITY_WORDS:
            return "quantity", word
        if word in _SCALE_WORDS:
            return "scale", word
        if _is_identity(word) or word in _THING_WORDS:
            return "identity", word
    return next((("identity", word) for word in reversed(words) if word in _CALENDAR_THINGS | _THINGS), None)


def _leads(words: list[str]) -> bool:
    """Whether the first word tells a quantity of what follows, as in "num_clicks" and "max_price"."""
    first, last = words[0], words[-1]
    if (
        first not in _LEADS
        or first in ("no", "count")
        or len(words) == 1
        or not words[1].isalpha()
        or _is_identity(last)
    ):
        return False
    return not (first in _CHOOSING_LEADS and last in _THING_WORDS)


def _is_identity(word: str) -> bool:
    return word in _IDENTITY_WORDS or (word.endswith("id") and word not in _NOT_IDS)


def is_clock(name: str) -> bool:
    """Whether a column name says that its numbers are moments."""
    return not _CLOCK_WORDS.isdisjoint(split_name(name))


def is_calendar(word: str) -> bool:
    """Whether a word of a column name is one of the clock or the calendar."""
    return word in _CALENDAR_WORDS


def is_time_unit(word: str) -> bool:
    """Whether a word of a column name is a unit in which moments are counted, as durations are."""
    return word in _TIME_UNITS


def is_version(name: str) -> bool:
    """Whether a column name says that its numbers are versions, which name a thing although they have fractions."""
    return not _VERSION_WORDS.isdisjoint(split_name(name))
