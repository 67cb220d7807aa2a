"""Packed arrays + targets -> batches, augmented in the loader's threads: one composed warp, one intensity table."""

import hashlib

import numpy as np

from cxr.anatomy.heart import NOT_KNOWN
from cxr.networks.augmentation import augment
from cxr.networks.backend import keras


def film_key(image_id: str) -> int:
    """A number that stands for a film in random seeds: the same in every run and on every machine."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest())


def known_masks(masks: np.ndarray) -> np.ndarray:
    """Masks (n, size, size, K) uint8 as float32: 1, 0, and NaN all over a film whose mask is `NOT_KNOWN`.

    All over: a warp brings black from beyond the film into its corners, of which nothing is known either.
    """
    unknown = (masks == NOT_KNOWN).any(axis=(1, 2), keepdims=True)
    return np.where(unknown, np.float32(np.nan), (masks > 127).astype(np.float32))


class FilmBatches(keras.utils.PyDataset):
    """Batches of films (n, size, size, 1) uint8 with their targets, reshuffled and varied again each epoch.

    Parameters
    ----------
    pack : ndarray of shape (N, size, size), uint8
        Usually a memory map.
    rows : ndarray of int
        The rows used.
    image_ids : sequence of str
        One for each of ``rows``: seeds the film's augmentation, so that it depends neither on order nor on machine.
    targets : ndarray of shape (len(rows), F), float32, or (N, size, size, K), uint8 masks
        Masks are warped with their film and come out as float32 of shape (n, size, size, K): see `known_masks`.
    batch_size, seed : int
    augmentation : AugmentParams, optional
        None: films as they are, in order (for scoring), the last batch with what is left. Else every batch has
        ``batch_size`` films, which is one shape to compile and to share between devices: the last one is filled up
        with the first films of the epoch.
    share : tuple of two int
        (i, n): of each batch the i-th of n equal parts, for the i-th of n processes that train together.
    """

    def __init__(
        self, pack, rows, image_ids, targets, batch_size, *, seed=0, augmentation=None, workers=1, share=(0, 1)
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=4 * workers)
        self.pack, self.rows, self.targets = pack, np.asarray(rows), targets
        self.keys = [film_key(image_id) for image_id in image_ids]
        self.batch_size, self.seed, self.augmentation, self.share = batch_size, seed, augmentation, share
        self.has_masks = targets is not None and targets.ndim == 4
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Fix order and augmentation from the seed and the epoch alone, so that a resumed run repeats them."""
        self.epoch = epoch
        self.order = np.arange(len(self.rows))
        if self.augmentation is not None:
            self.order = np.random.default_rng([self.seed, epoch]).permutation(self.order)

    def on_epoch_end(self) -> None:
        self.set_epoch(self.epoch + 1)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def _chosen(self, index: int) -> np.ndarray:
        """Positions in ``rows`` of the films of a batch that this process reads."""
        if self.augmentation is None:
            return self.order[index * self.batch_size : (index + 1) * self.batch_size]
        part, parts = self.share
        own = self.batch_size // parts
        first = index * self.batch_size + part * own
        return self.order.take(np.arange(first, first + own), mode="wrap")

    def __getitem__(self, index: int):
        chosen = self._chosen(index)
        films = self.pack[self.rows[chosen]]
        masks = self.targets[self.rows[chosen]] if self.has_masks else [None] * len(chosen)
        if self.augmentation is not None:
            for position, item in enumerate(chosen):
                random = np.random.default_rng([self.seed, self.epoch, self.keys[item]])
                films[position], varied = augment(films[position], random, self.augmentation, masks[position])
                if self.has_masks:
                    masks[position] = varied.reshape(masks[position].shape)  # OpenCV drops a last axis of one
        if self.targets is None:
            return (films[..., None],)
        if self.has_masks:
            return films[..., None], known_masks(masks)
        return films[..., None], self.targets[chosen]
