"""Overlays of maps: where each film's evidence for a finding lies, and the boxes that this outlines.

Reads   MODELS_DIR/classification/<family>/predictions.csv, thresholds.json, <member>/cams*.npy; the films themselves;
        DATA_DIR/classification/boxes.csv (known boxes), where there is one
Writes  MODELS_DIR/classification/<family>/gradcam/<finding>/<image_id>.png, gradcam/overview_<finding>.png,
        detections.csv (boxes in pixels of the original film, for every test film that is called positive)

Without --film, OVERLAYS_PER_FINDING test films a finding: true and false positives and negatives in turn, the surest
first. A heatmap is what a film adds to the logit beyond the average film of val; an ensemble's is the members' mean.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import write_csv, write_json
from cxr.core.errors import InputError, counted, hint
from cxr.core.executors import process_count
from cxr.core.findings import canonical, colours
from cxr.core.members import FAMILIES
from cxr.core.parameters import METHOD_NAMES
from cxr.core.progress import progress
from cxr.maps import detections, family_maps
from cxr.report import film_pictures, overlays
from cxr.training import tracking


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="whose maps to draw")
    arguments.add_argument("--film", action="append", help="image_id, or its last part, of a scored film; repeatable")
    arguments.add_argument("--finding", action="append", help="only this finding; repeatable")
    arguments.add_argument(
        "--limit", type=command_line.count, help="films a finding, not OVERLAYS_PER_FINDING; 0 = all"
    )
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    wanted = [asked(name, params.findings) for name in arguments.finding or params.findings]
    locks.hold(settings.family_dir(arguments.family))
    scored = family_maps.load(settings, params, arguments.family)
    limit = params.evaluation.overlays_per_finding if arguments.limit is None else arguments.limit
    folder = settings.family_dir(arguments.family)
    if overlays.overlays_are_current(scored, folder):
        locks.sweep(folder / "gradcam")
    else:  # of another model: neither they nor their boxes may stand beside what is said now
        overlays.remove_overlays(folder)
        (folder / "detections.csv").unlink(missing_ok=True)
        write_json(overlays.overlays_made_from(scored, folder), folder / "gradcam" / "made_from.json")
    grids = ", ".join(f"{cam.shape[2]}x{cam.shape[3]}" for cam in scored.cams)
    print(f"maps of {grids} cells, up to twice as fine as the networks' own places: a map tells a region, not an edge")
    chosen = {finding: family_maps.choose_films(scored, finding, arguments.film, limit) for finding in wanted}
    jobs = [(finding, row) for finding, rows in chosen.items() for row in rows]
    with ThreadPoolExecutor(process_count(params.general.workers)) as threads:
        drawn = threads.map(lambda job: overlays.draw_overlay(scored, *job, settings, folder / "gradcam"), jobs)
        tiles = dict(zip(jobs, progress(drawn, len(jobs), "overlays"), strict=True))
    for finding, rows in chosen.items():
        if not arguments.film:
            groups = {outcome: [] for outcome in family_maps.OUTCOMES}
            outcomes = scored.outcomes(finding)
            for row in (row for row in rows if outcomes[row]):
                groups[outcomes[row]].append(tiles[finding, row])
            path = folder / "gradcam" / f"overview_{finding}.png"
            note = f"{METHOD_NAMES[params.evaluation.map_method]}, {scored.threshold_note(finding)}"
            colour = colours(scored.findings)[finding]
            film_pictures.overview(groups, path, finding, colour, note, scored.scale, scored.unit)
        print(f"{finding}: {counted(len(rows), 'overlay')} -> {folder / 'gradcam' / finding}")
    pictures = [folder / "gradcam" / f"overview_{finding}.png" for finding in wanted if not arguments.film]
    tracking.log(params, folder, files=pictures)
    if not arguments.film and not arguments.finding:
        boxes = detections.detect(scored)
        write_csv(boxes, folder / "detections.csv")
        print(
            f"{counted(len(boxes), 'box')} on {counted(boxes['image_id'].nunique(), 'called test film')}, in pixels of "
            f"the original -> {folder / 'detections.csv'} (detection scores count boxes of films not called too)"
        )


def asked(name, findings):
    """The finding that --finding means, however it is spelt."""
    known = {canonical(finding): finding for finding in findings}
    if canonical(name) not in known:
        raise InputError(f"--finding {name}: expected one of {', '.join(findings)}.{hint(name, findings)}")
    return known[canonical(name)]


if __name__ == "__main__":
    command_line.run(main)
