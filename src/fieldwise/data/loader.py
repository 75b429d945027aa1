"""Loading: batches of a data set on the device that trains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset, as_tensor


class Loader:
    """Gives batches of a data set by row numbers, on a device.

    On the CPU they are taken from the data set as it lies. On a GPU its matrices are copied there once, where half of
    the free memory holds them, and each batch is picked by the GPU; lists, and data sets that are too large, come
    through pinned memory, batch by batch, while the GPU computes.

    Args:
        dataset: the rows.
        device: that they are wanted on.
        resident: whether the matrices are copied; None follows the rule above.
    """

    def __init__(self, dataset: Dataset, device: torch.device, *, resident: bool | None = None) -> None:
        self.dataset = dataset
        self.device = device
        rows = dataset.rows
        matrices = [rows.categorical, rows.numeric, dataset.label, dataset.weight, rows.statistics]
        if resident is None:
            size = sum(0 if matrix is None else matrix.nbytes for matrix in matrices)
            resident = device.type == "cuda" and size <= torch.cuda.mem_get_info(device)[0] // 2
        self._held = [None if m is None else as_tensor(m).to(device) for m in matrices] if resident else None

    def batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        """The batch of some rows.

        Args:
            rows: by number, int64 [B].

        Returns:
            These rows on the device, in that order.
        """
        if self._held is None:
            return self.dataset.batch(rows).to(self.device)
        # What is still on the CPU travels as a batch, row numbers in the place of the matrices.
        numbers = torch.from_numpy(np.ascontiguousarray(rows)).unsqueeze(1)
        sent = Batch(numbers, torch.empty(len(rows), 0), self.dataset.lists(rows)).to(self.device)
        places = sent.categorical.squeeze(1)
        categorical, numeric, label, weight, statistics = (
            None if m is None else m.index_select(0, places) for m in self._held
        )
        assert categorical is not None
        assert numeric is not None
        return Batch(categorical.long(), numeric, sent.multi_valued, label=label, weight=weight, statistics=statistics)
