import cv2
import numpy as np
import pytest

from cxr.anatomy.heart import NOT_KNOWN
from cxr.core.parameters import AugmentParams
from cxr.networks import augmentation, film_batches
from cxr.networks.augmentation import augment, random_intensity_table, random_warp
from cxr.networks.film_batches import FilmBatches

NOTHING = AugmentParams(
    AUGMENTATION=1.0, FLIP=0.0, CROP=0.0, WARP=0.0, SHIFT=0.0, SCALE=0.0, ROTATE=0.0, ELASTIC=0.0, INTENSITY=0.0,
    CONTRAST=0.0, GAMMA=0.0, BRIGHTNESS=0.0, BLUR=0.0, NOISE=0.0,
)  # fmt: skip
EVERYTHING = AugmentParams(
    AUGMENTATION=1.0, FLIP=0.5, CROP=0.5, WARP=1.0, ELASTIC=0.5, INTENSITY=1.0, BLUR=0.5, NOISE=0.5
)  # fmt: skip
SIZE = 33


def only(**changed) -> AugmentParams:
    return NOTHING.model_copy(update=changed)


class Drawn:
    """A generator whose every chance is taken and whose draws are given: what augmentation does, by hand."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def random(self) -> float:
        return 0.0

    def uniform(self, low, high, size=None):
        drawn = np.asarray(self.draws.pop(0), float)
        assert np.all((low <= drawn) & (drawn <= high))
        return drawn if size else float(drawn)


def films(count: int = 10, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Smooth random films, no two alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, 5, 5)).astype(np.uint8)
    return np.stack([cv2.resize(film, (size, size), interpolation=cv2.INTER_CUBIC) for film in noise])


def one_bright_place(x: int, y: int, size: int = SIZE) -> np.ndarray:
    film = np.zeros((size, size), np.uint8)
    film[y, x] = 255
    return film


def brightest(film: np.ndarray) -> tuple[int, int]:
    y, x = np.unravel_index(np.argmax(film), film.shape)
    return int(x), int(y)


def names(count: int) -> list[str]:
    return [f"nih/{number:08d}_000" for number in range(count)]


def batches_of(
    pack, batch_size=4, seed=1, augmentation=EVERYTHING, rows=None, ids=None, targets="numbers", share=(0, 1)
):
    rows = np.arange(len(pack)) if rows is None else rows
    ids = [names(len(pack))[row] for row in rows] if ids is None else ids
    if isinstance(targets, str):
        targets = np.repeat(np.asarray(rows, np.float32)[:, None], 6, axis=1)
    return FilmBatches(pack, rows, ids, targets, batch_size, seed=seed, augmentation=augmentation, share=share)


def by_row(batches) -> dict[int, np.ndarray]:
    """Row in the pack (that is what the target says) -> the film as it was given out."""
    return {
        int(target[0]): film
        for index in range(len(batches))
        for film, target in zip(*batches[index], strict=True)
    }  # fmt: skip


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[row], other[row]) for row in one)


# Order and variation


def test_a_films_variation_hangs_on_seed_epoch_and_image_id_alone():
    pack = films()
    reference = by_row(batches_of(pack))
    assert same(by_row(batches_of(pack, batch_size=3)), reference)
    backwards = np.arange(10)[::-1]
    assert same(by_row(batches_of(pack, rows=backwards)), reference)
    moved = np.concatenate([films(5, seed=9), pack])  # the same films at other places of another pack
    elsewhere = batches_of(moved, rows=np.arange(5, 15), ids=names(10))
    assert all(np.array_equal(film, reference[row - 5]) for row, film in by_row(elsewhere).items())
    for other in (batches_of(pack, seed=2), batches_of(pack, ids=[f"chexpert/{n}" for n in range(10)])):
        differing = by_row(other)
        assert not any(np.array_equal(differing[row], reference[row]) for row in reference)


def test_reading_again_or_in_another_order_gives_the_same_batches():
    batches = batches_of(films())
    forwards = [batches[index] for index in range(3)]
    for index in (2, 0, 1):
        for one, other in zip(batches[index], forwards[index], strict=True):
            np.testing.assert_array_equal(one, other)


def test_each_epoch_has_an_order_and_variations_of_its_own_that_can_be_returned_to():
    batches = batches_of(films())
    first_order, first = batches.order.copy(), by_row(batches)
    batches.on_epoch_end()
    assert batches.epoch == 1
    assert batches.order.tolist() != first_order.tolist()
    second = by_row(batches)
    assert second.keys() == first.keys()
    assert not any(np.array_equal(second[row], first[row]) for row in first)
    batches.set_epoch(0)
    assert batches.order.tolist() == first_order.tolist()
    assert same(by_row(batches), first)


def test_order_is_shuffled_by_the_seed_and_has_every_film_once():
    orders = [batches_of(films(), seed=seed).order.tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(10)) != orders[0]


def test_the_last_batch_is_filled_up_with_the_first_films_of_the_epoch():
    batches = batches_of(films(), batch_size=4)
    assert len(batches) == 3
    given = [int(target[0]) for index in range(3) for target in batches[index][1]]
    assert given == [*batches.order, *batches.order[:2]]
    np.testing.assert_array_equal(batches[2][0][2:], batches[0][0][:2])  # varied alike
    assert len(batches_of(films(), batch_size=5)) == 2
    few = batches_of(films(2), batch_size=5)
    assert [int(target[0]) for target in few[0][1]] == [few.order[place] for place in (0, 1, 0, 1, 0)]


def test_for_scoring_the_last_batch_has_what_is_left():
    batches = batches_of(films(), batch_size=4, augmentation=None)
    assert [len(batches[index][0]) for index in range(3)] == [4, 4, 2]
    assert sorted(by_row(batches)) == list(range(10))


def test_processes_read_equal_parts_that_are_the_batch_together():
    pack = films()
    whole = batches_of(pack, batch_size=6)
    parts = [batches_of(pack, batch_size=6, share=(part, 3)) for part in range(3)]
    assert {len(part) for part in parts} == {len(whole)} == {2}
    for index in range(2):
        for place in (0, 1):  # films, targets
            read = [part[index][place] for part in parts]
            assert {len(one) for one in read} == {2}
            np.testing.assert_array_equal(np.concatenate(read), whole[index][place])


def test_batches_have_the_shapes_and_types_that_models_take():
    x, y = batches_of(films())[0]
    assert (x.shape, x.dtype) == ((4, SIZE, SIZE, 1), np.uint8)
    assert (y.shape, y.dtype) == ((4, 6), np.float32)


def test_targets_and_films_stay_together():
    pack = np.repeat(np.arange(10, dtype=np.uint8), SIZE * SIZE).reshape(10, SIZE, SIZE)
    rows = np.array([7, 2, 5])
    batches = batches_of(pack, batch_size=2, rows=rows, augmentation=NOTHING)
    assert {row: int(film.max()) for row, film in by_row(batches).items()} == {7: 7, 2: 2, 5: 5}


# Validation and the memory map


def test_without_augmentation_films_come_as_they_are_and_in_order():
    pack = films()
    batches = batches_of(pack, augmentation=None, rows=np.array([3, 1, 8]), batch_size=2)
    for epoch in (0, 5):
        batches.set_epoch(epoch)
        given = np.concatenate([batches[0][0], batches[1][0]])[..., 0]
        np.testing.assert_array_equal(given, pack[[3, 1, 8]])


def test_for_scoring_there_are_films_and_no_targets():
    batches = batches_of(films(), augmentation=None, targets=None)
    assert len(batches[0]) == 1
    assert batches[0][0].shape == (4, SIZE, SIZE, 1)


def test_the_memory_map_is_read_and_never_written(tmp_path):
    pack, masks = films(), np.where(films(seed=4) > 128, 255, 0).astype(np.uint8)
    np.save(tmp_path / "pack.npy", pack)
    np.save(tmp_path / "masks.npy", masks)
    mapped = [np.load(tmp_path / name, mmap_mode="r") for name in ("pack.npy", "masks.npy")]
    from_file = batches_of(mapped[0], targets=mapped[1])
    in_memory = batches_of(pack.copy(), targets=masks.copy())
    for index in range(len(from_file)):
        for one, other in zip(from_file[index], in_memory[index], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.load(tmp_path / "pack.npy"), pack)
    np.testing.assert_array_equal(np.load(tmp_path / "masks.npy"), masks)
    np.testing.assert_array_equal(in_memory.pack, pack)
    np.testing.assert_array_equal(in_memory.targets, masks)


# Masks


def test_a_mask_goes_the_way_of_its_film():
    """A mask that is where its film is bright still is, after any warp."""
    yy, xx = np.mgrid[:128, :128]
    film = np.where((xx - 44) ** 2 / 500 + (yy - 70) ** 2 / 1600 < 1, 255, 0).astype(np.uint8)
    geometry = EVERYTHING.model_copy(update={"intensity": 0.0, "blur": 0.0, "noise": 0.0, "elastic": 0.5})
    agreements = []
    for seed in range(40):
        varied, mask = augment(film, np.random.default_rng(seed), geometry, film.copy())
        assert set(np.unique(mask)) <= {0, 255}
        bright = varied > 127
        agreements.append((bright & (mask > 0)).sum() / (bright | (mask > 0)).sum())
    assert min(agreements) > 0.95
    moved, _ = augment(film, np.random.default_rng(0), geometry)
    assert (moved != film).mean() > 0.05


def test_masks_come_out_as_zeros_and_ones_and_are_not_changed_by_intensity():
    pack = films()
    masks = np.stack([np.where(pack > 120, 255, 0), np.where(pack > 60, 255, 0)], axis=-1).astype(np.uint8)
    masks[3, ..., 1] = NOT_KNOWN
    intensity = only(intensity=1.0, contrast=0.4, gamma=0.4, brightness=0.2, blur=1.0, noise=1.0)
    batches = batches_of(pack, targets=masks, augmentation=intensity, batch_size=10)
    x, y = batches[0]
    assert (y.shape, y.dtype) == ((10, SIZE, SIZE, 2), np.float32)
    expected = masks[batches.order] / 255
    expected[batches.order == 3, ..., 1] = np.nan
    np.testing.assert_array_equal(y, expected)
    assert not np.array_equal(x[..., 0], pack[batches.order])


def test_masks_belong_to_rows_of_the_pack():
    pack = films()
    masks = np.repeat(np.where(np.arange(10) % 2, 255, 0).astype(np.uint8), SIZE * SIZE).reshape(10, SIZE, SIZE, 1)
    batches = batches_of(pack, targets=masks, rows=np.array([3, 4]), augmentation=None)
    assert batches[0][1].mean(axis=(1, 2, 3)).tolist() == [1.0, 0.0]


def test_a_mask_that_is_not_known_stays_so_wherever_the_film_is_moved():
    pack, masks = films(), np.full((10, SIZE, SIZE, 2), 255, np.uint8)
    masks[..., 1] = NOT_KNOWN
    moved = batches_of(pack, targets=masks, augmentation=only(warp=1.0, shift=0.5), batch_size=10)[0][1]
    assert np.isnan(moved[..., 1]).all()
    assert (moved[..., 0] == 0).any()


# The composed warp, by hand: the middle of 33 pixels is pixel 16


@pytest.mark.parametrize(
    ("changed", "draws", "expected"),
    [
        ({"flip": 1.0}, (), (27, 10)),  # 32 - 5
        ({"warp": 1.0, "shift": 0.1}, (0, 0, (2 / SIZE, 3 / SIZE)), (7, 13)),
        ({"warp": 1.0, "rotate": 90.0}, (90, 0, (0, 0)), (10, 27)),  # left of the middle goes below it
        ({"warp": 1.0, "scale": 0.5}, (0, 0.5, (0, 0)), (0, 7)),  # 16 - 1.5 * 11 = -0.5, 16 - 1.5 * 6 = 7
        ({"crop": 1.0}, (0.8, (4.0, 2.4)), (1, 9)),  # 1.25 * (5 - 4) = 1.25, 1.25 * (10 - 2.4) = 9.5
        ({"flip": 1.0, "warp": 1.0, "shift": 0.1}, (0, 0, (2 / SIZE, 0)), (29, 10)),  # flipped first
    ],
)
def test_a_dot_lands_where_the_warp_says(changed, draws, expected):
    matrix = random_warp(Drawn(*draws), SIZE, only(**changed))
    # random_warp asks for every chance; those of probability 0 are never below it.
    assert matrix.shape == (2, 3)
    np.testing.assert_allclose(matrix @ [5, 10, 1], expected, atol=0.51)
    film, mask = (cv2.warpAffine(one_bright_place(5, 10), matrix, (SIZE, SIZE), flags=flag) for flag in (1, 0))
    assert np.abs(np.subtract(brightest(film), expected)).max() <= 1
    if mask.any():
        assert np.abs(np.subtract(brightest(mask), expected)).max() <= 1


def test_flip_shift_and_rotation_are_one_warp():
    """Flip (5, 10) to (27, 10), turn it by 90 degrees about (16, 16) to (10, 5), shift it by (3, -2)."""
    everything = only(flip=1.0, warp=1.0, shift=0.2, rotate=90.0)
    matrix = random_warp(Drawn(90, 0, (3 / SIZE, -2 / SIZE)), SIZE, everything)
    np.testing.assert_allclose(matrix @ [5, 10, 1], [13, 3], atol=1e-9)


def test_a_crop_stays_inside_the_film():
    for seed in range(50):
        matrix = random_warp(np.random.default_rng(seed), SIZE, only(crop=1.0))
        corners = cv2.invertAffineTransform(matrix) @ np.array([[0, 0, 1], [SIZE - 1, SIZE - 1, 1]]).T
        assert corners.min() >= -1e-9
        assert corners.max() <= SIZE - 1 + 1e-9
        assert 0.75 <= (corners[0, 1] - corners[0, 0]) / (SIZE - 1) <= 1


def test_amplitudes_limit_the_warp():
    limited = only(warp=1.0, shift=0.06, scale=0.1, rotate=15.0)
    for seed in range(100):
        matrix = random_warp(np.random.default_rng(seed), 100, limited)
        scale = np.sqrt(np.linalg.det(matrix[:, :2]))
        assert 0.9 <= scale <= 1.1
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) <= 15
        assert np.abs(matrix @ [49.5, 49.5, 1] - 49.5).max() <= 6 + 1e-9  # the middle moves by the shift alone


def test_where_nothing_is_drawn_nothing_is_warped():
    assert random_warp(np.random.default_rng(0), SIZE, NOTHING) is None
    film = films(1)[0]
    np.testing.assert_array_equal(augment(film, np.random.default_rng(0), NOTHING)[0], film)


def test_what_comes_from_outside_the_film_is_black():
    film = np.full((SIZE, SIZE), 200, np.uint8)
    shifted = cv2.warpAffine(film, random_warp(Drawn(0, 0, (0.3, 0)), SIZE, only(warp=1.0, shift=0.3)), (SIZE, SIZE))
    assert shifted[:, :9].max() == 0
    assert shifted[:, 11:].min() == 200


# Intensity


def test_the_intensity_table_keeps_dark_darker_than_bright():
    for seed in range(100):
        table = random_intensity_table(
            np.random.default_rng(seed), only(intensity=1.0, contrast=0.9, gamma=0.9, brightness=0.5)
        )
        assert (table.shape, table.dtype) == ((256,), np.uint8)
        assert (np.diff(table.astype(int)) >= 0).all()


def test_the_intensity_table_changes_nothing_where_amplitudes_are_zero():
    table = random_intensity_table(np.random.default_rng(0), only(intensity=1.0))
    np.testing.assert_array_equal(table, np.arange(256))


def test_the_intensity_table_by_hand():
    params = only(intensity=1.0, contrast=0.5, gamma=0.7, brightness=0.2)
    np.testing.assert_array_equal(  # brightness alone: 0.2 of white is 51
        random_intensity_table(Drawn(0, 0, 0.2), params), np.minimum(np.arange(256) + 51, 255)
    )
    contrast = random_intensity_table(Drawn(0, 0.5, 0), params)  # (gray - 127.5) * 1.5 + 127.5
    assert (contrast[0], contrast[85], contrast[170], contrast[255]) == (0, 64, 191, 255)
    gamma = random_intensity_table(Drawn(np.log(2), 0, 0), params)  # gray squared
    assert (gamma[0], gamma[51], gamma[128], gamma[255]) == (0, 10, 64, 255)


def test_no_table_is_made_where_chance_says_so():
    assert random_intensity_table(np.random.default_rng(0), only(contrast=0.5)) is None


# The rest


def test_elastic_deformation_bends_film_and_mask_alike():
    yy, xx = np.mgrid[:128, :128]
    film = np.where((xx // 16 + yy // 16) % 2, 255, 0).astype(np.uint8)
    bent, mask = augment(film, np.random.default_rng(3), only(elastic=1.0), film.copy())
    assert bent.shape == (128, 128)
    assert bent.dtype == np.uint8
    assert 0.03 < ((bent > 127) != (film > 127)).mean() < 0.6
    assert ((bent > 127) == (mask > 127)).mean() > 0.97


def test_blur_smooths_and_noise_roughens():
    film = cv2.resize(films(1, 9)[0], (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    rough = lambda image: np.abs(np.diff(image.astype(int), axis=1)).mean()  # noqa: E731
    assert rough(augment(film, np.random.default_rng(0), only(blur=1.0))[0]) < rough(film)
    flat = np.full((200, 200), 100, np.uint8)
    noisy = augment(flat, np.random.default_rng(0), only(noise=1.0))[0]
    assert 0.5 < noisy.std() < 7
    assert abs(noisy.mean() - 100) < 0.1  # rounded, not cut off: cutting would darken by half a gray level


def test_the_share_asked_for_is_left_alone():
    film = films(1)[0]
    half = EVERYTHING.model_copy(update={"augmentation": 0.5})
    untouched = [
        np.array_equal(augment(film, np.random.default_rng(seed), half)[0], film) for seed in range(400)
    ]  # fmt: skip
    assert 0.42 < np.mean(untouched) < 0.58
    never = EVERYTHING.model_copy(update={"augmentation": 0.0})
    assert augment(film, np.random.default_rng(1), never)[0] is film


def test_lungs_are_augmented_more_strongly_than_films():
    ours, films_own = augmentation.LUNG_AUGMENTATION, AugmentParams()
    for name in ("augmentation", "warp", "shift", "scale", "rotate", "intensity", "contrast", "gamma", "brightness"):
        assert getattr(ours, name) > getattr(films_own, name)


def test_a_films_key_is_the_same_everywhere():
    assert film_batches.film_key("nih/00000001_000") == int.from_bytes(
        __import__("hashlib").blake2b(b"nih/00000001_000", digest_size=8).digest(), "big"
    )
    assert film_batches.film_key("a") != film_batches.film_key("b")
