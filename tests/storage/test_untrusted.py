"""Reading files of strangers; tests/predictor has what a whole predictor makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldwise.errors import PredictorFormatError
from fieldwise.storage.untrusted import open_regular


def test_a_hash_is_that_of_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_regular(tmp_path / "a", hashed=True) as file:
        assert file.read(3) == b"abc"
        file.require("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        with pytest.raises(PredictorFormatError, match="SHA-256 differs"):
            file.require("0" * 64)
