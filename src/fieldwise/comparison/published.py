"""What the papers report, to stand beside what was measured. Test AUC and log loss.

Song et al., "AutoInt", CIKM 2019, tables 2 and 5: means of 10 runs.
"""

from __future__ import annotations

_AUTOINT_ORDER = ("criteo", "avazu", "kdd12", "movielens-1m")
_AUTOINT: dict[str, tuple[tuple[float, float], ...]] = {
    "lr": ((0.7820, 0.4695), (0.7560, 0.3964), (0.7361, 0.1684), (0.7716, 0.4424)),
    "fm": ((0.7836, 0.4700), (0.7706, 0.3856), (0.7759, 0.1573), (0.8252, 0.3998)),
    "afm": ((0.7938, 0.4584), (0.7718, 0.3854), (0.7659, 0.1591), (0.8227, 0.4048)),
    "deepcrossing": ((0.8009, 0.4513), (0.7643, 0.3889), (0.7715, 0.1591), (0.8448, 0.3814)),
    "nfm": ((0.7957, 0.4562), (0.7708, 0.3864), (0.7515, 0.1631), (0.8357, 0.3883)),
    "crossnet": ((0.7907, 0.4591), (0.7667, 0.3868), (0.7773, 0.1572), (0.7968, 0.4266)),
    "cin": ((0.8009, 0.4517), (0.7758, 0.3829), (0.7799, 0.1566), (0.8286, 0.4108)),
    "hofm": ((0.8005, 0.4508), (0.7701, 0.3854), (0.7707, 0.1586), (0.8304, 0.4013)),
    "autoint": ((0.8061, 0.4455), (0.7752, 0.3824), (0.7883, 0.1546), (0.8456, 0.3797)),
    "wide_deep": ((0.8026, 0.4494), (0.7749, 0.3824), (0.7549, 0.1619), (0.8300, 0.3976)),
    "deepfm": ((0.8066, 0.4449), (0.7751, 0.3829), (0.7867, 0.1549), (0.8437, 0.3846)),
    "dcn": ((0.8067, 0.4447), (0.7731, 0.3836), (0.7872, 0.1549), (0.8446, 0.3809)),
    "xdeepfm": ((0.8070, 0.4447), (0.7770, 0.3823), (0.7820, 0.1560), (0.8463, 0.3808)),
    "autoint+": ((0.8083, 0.4434), (0.7774, 0.3811), (0.7898, 0.1543), (0.8488, 0.3753)),
}

DATASETS = _AUTOINT_ORDER
"""The data sets that figures exist for."""

JOINT = {"wide_deep": "lr", "deepfm": "fm", "dcn": "crossnet", "xdeepfm": "cin", "autoint+": "autoint"}
"""Joint models and the single ones that they add a feed-forward network to (table 5 of the AutoInt paper)."""


def published(dataset: str, model: str) -> dict[str, float] | None:
    """The figures of a registered model on a data set.

    Args:
        dataset: one of `DATASETS`.
        model: its registered name.

    Returns:
        Figures by metric; None where there are none.

    Example:
        >>> published("criteo", "autoint")
        {'auc': 0.8061, 'log_loss': 0.4455}
    """
    if dataset not in _AUTOINT_ORDER or model not in _AUTOINT:
        return None
    auc, log_loss = _AUTOINT[model][_AUTOINT_ORDER.index(dataset)]
    return {"auc": auc, "log_loss": log_loss}
