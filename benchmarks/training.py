"""Training: seconds to the first step, seconds a step and memory of one network, in several ways; torchvision beside.

Every way runs in a process of its own, on one constant batch, through `fit`, with SGD (it compiles fastest) but for
`adamw`, the default of PARAMS.json. Time to the first step is from the call of `fit`: tracing and compiling. Memory is
what the peak after training is above the one before: resident memory of the process, what tracing takes included (so
compare at a large --size or --batch); on a GPU the framework's own peak.

--gpu measures DenseNet169 (or --member) against torchvision's DenseNet169 with automatic mixed precision,
channels-last and torch.compile, the two taking turns in processes of their own; ours with mixed_bfloat16 and XLA. A
step's work is three times the forward pass's, whose multiplications and additions are counted here from the layers.

    python benchmarks/training.py                                                # CPU, four minutes: four of the ways
    python benchmarks/training.py --variant xla --variant "accumulation 2"       # the others
    KERAS_BACKEND=jax python benchmarks/training.py --variant sgd --variant recompute
    python benchmarks/training.py --gpu --size 512 --batch 64 --peak-tflops 989       # peak: from the data sheet
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np

# Keys of PARAMS.json that differ from sgd's, and the batch in multiples of --batch.
VARIANTS = {
    "sgd": ({}, (0.5, 1, 2)),
    "sgd, one batch": ({}, (1,)),
    "adamw": ({"OPTIMIZER": "adamw"}, (1,)),
    "xla": ({"XLA": "on"}, (1,)),
    "mixed_bfloat16": ({"PRECISION": "mixed_bfloat16"}, (1,)),
    "accumulation 2": ({"GRADIENT_ACCUMULATION": 2}, (1,)),
    "recompute": ({"RECOMPUTE": True}, (1,)),
    "stride 16": ({"OUTPUT_STRIDE": 16}, (1,)),
    "stride 8": ({"OUTPUT_STRIDE": 8}, (1,)),
}
USUAL = ("sgd", "adamw", "mixed_bfloat16", "recompute")
OURS_ON_GPU, TORCHVISION = "mixed_bfloat16 + xla", "torchvision"
PLAIN_TORCHVISION = "torchvision, float32"  # not compiled: what `peers.py` holds against "sgd, one batch"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--member", default="densenet169", help="the network")
    parser.add_argument("--size", type=int, default=96, help="side of the films, pixels")
    parser.add_argument("--batch", type=int, default=16, help="films a step")
    parser.add_argument("--steps", type=int, default=5, help="timed steps")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help=f"repeatable; default {', '.join(USUAL)}")
    parser.add_argument("--gpu", action="store_true", help="ours against torchvision's DenseNet169")
    parser.add_argument("--rounds", type=int, default=2, help="of --gpu: how often the two take turns")
    parser.add_argument("--peak-tflops", type=float, help="of --gpu: what the chip can do at most in bfloat16")
    parser.add_argument(
        "--one", choices=[*VARIANTS, OURS_ON_GPU, TORCHVISION, PLAIN_TORCHVISION], help=argparse.SUPPRESS
    )
    arguments = parser.parse_args(argv)
    if arguments.one:
        measure = torchvision if arguments.one in (TORCHVISION, PLAIN_TORCHVISION) else ours
        print(json.dumps(measure(arguments)))
    elif arguments.gpu:
        against_torchvision(arguments)
    else:
        compare_variants(arguments)


def compare_variants(arguments):
    """A line a way and batch size."""
    print(f"{arguments.member} at {arguments.size} px, {arguments.steps} steps each, medians", flush=True)
    for name in arguments.variant or USUAL:
        result = in_process(name, arguments)
        if "missing" in result:
            print(f"  {name}: not measured ({result['missing']})", flush=True)
            continue
        for batch, first, step in result["batches"]:
            print(
                f"  {name:15} batch {batch:3}: first step {first:6.1f} s, then {step:7.3f} s a step, "
                f"{batch / step:6.1f} films/s",
                flush=True,
            )
        print(f"  {name:15} {result['megabytes']:.0f} MB above the start; {result['device']}", flush=True)


def against_torchvision(arguments):
    """Films a second of both and their ratio; the share of the chip's peak where that is given."""
    results = {OURS_ON_GPU: [], TORCHVISION: []}
    for _ in range(arguments.rounds):
        for name, found in results.items():
            found.append(in_process(name, arguments))
    print(f"{arguments.member} at {arguments.size} px, batch {arguments.batch}, {arguments.rounds} rounds each")
    rates = {}
    for name, found in results.items():
        missing = [result["missing"] for result in found if "missing" in result]
        if missing:
            print(f"  {name}: not measured ({missing[0]})")
            continue
        rates[name] = float(np.median([arguments.batch / step for result in found for _, _, step in result["batches"]]))
        print(f"  {name:20} {rates[name]:8.1f} films/s; {found[0]['device']}, {found[0]['megabytes']:.0f} MB")
    if OURS_ON_GPU in rates:
        work = 3 * results[OURS_ON_GPU][0]["forward_flops"]
        line = f"  work a film and step: {work / 1e9:.1f} GFLOP (three times the forward pass)"
        if arguments.peak_tflops:
            share = rates[OURS_ON_GPU] * work / arguments.peak_tflops / 1e12
            line += f"; {100 * share:.1f} % of {arguments.peak_tflops:g} TFLOP/s"
        print(line)
    if len(rates) == 2:
        print(f"  ours / torchvision: {rates[OURS_ON_GPU] / rates[TORCHVISION]:.2f}")


def in_process(name, arguments):
    """What `ours` or `torchvision` finds in a fresh process: nothing compiled, no memory held."""
    options = {"one": name, **{key: getattr(arguments, key) for key in ("member", "size", "batch", "steps")}}
    flags = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    done = subprocess.run([sys.executable, __file__, *flags], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"missing": f"the process ended with {done.returncode}, see above"}
    return json.loads(done.stdout.splitlines()[-1])


def ours(arguments):
    """Seconds and memory of one of `VARIANTS`; batches of several sizes share what is compiled."""
    import timing

    from cxr.networks import backend, classifiers, recomputation, workload
    from cxr.training import loop, losses

    changes, multiples = VARIANTS.get(arguments.one, ({"PRECISION": "mixed_bfloat16", "XLA": "on"}, (1,)))
    params = timing.params_at(arguments.size, **{"OPTIMIZER": "sgd", "SCHEDULE": "constant"} | changes)
    device, size = backend.start(params), params.input_size(arguments.member)
    classifier = classifiers.build_classifier(arguments.member, params)
    network = recomputation.logits_of(classifier, params.training.recompute)
    optimizer = loop.make_optimizer(params, 1000)
    loss = losses.masked_cross_entropy(np.ones(6, np.float32))
    network.compile(optimizer=optimizer, loss=loss, jit_compile=backend.jit_compile(params))
    optimizer.build(network.trainable_variables)
    before, found = timing.peak_megabytes(), []
    largest = round(arguments.batch * max(multiples))
    films = np.random.default_rng(1).integers(0, 256, (largest, size, size, 1), np.uint8)
    for multiple in sorted(multiples, key=lambda one: one != 1):  # --batch first: its memory is what is told
        batch = max(1, round(arguments.batch * multiple))
        batches = timing.ConstantBatch(films[:batch], timing.labels(batch), arguments.steps + 1)
        first, seconds = timing.step_seconds(network, batches, getattr(arguments, "clock", time.perf_counter))
        found.append((batch, first, float(np.median(seconds))))
        if multiple == 1:
            megabytes = timing.peak_megabytes() - before
    return {
        "batches": found,
        "megabytes": megabytes,
        "device": device,
        "forward_flops": workload.forward_flops(classifier),
    }


def torchvision(arguments):
    """Seconds and memory of torchvision's DenseNet169 with six outputs, on the same kind of batch."""
    try:
        import torch
        from torchvision.models import densenet169
    except ImportError as error:
        return {"missing": f"no {error.name}"}
    device, fast = "cuda" if torch.cuda.is_available() else "cpu", arguments.one == TORCHVISION
    network = densenet169(weights=None, num_classes=6).to(device, memory_format=torch.channels_last)
    compiled = torch.compile(network) if fast else network
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    cross_entropy = torch.nn.BCEWithLogitsLoss()
    shape = (arguments.batch, 1, arguments.size, arguments.size)
    films, truth = torch.randint(0, 256, shape, dtype=torch.uint8), torch.rand(arguments.batch, 6).round()
    if device == "cuda":
        films, truth = films.pin_memory(), truth.pin_memory()

    def step():
        x = films.to(device, non_blocking=True).float().div(255).expand(-1, 3, -1, -1)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=fast):
            logits = compiled(x.contiguous(memory_format=torch.channels_last))
        value = cross_entropy(logits.float(), truth.to(device, non_blocking=True))
        value.backward()
        optimizer.step()
        return value.item()  # waited for, as on our side

    clock = getattr(arguments, "clock", time.perf_counter)
    started = clock()
    step()
    first = clock() - started
    step()
    seconds = []
    for _ in range(arguments.steps):
        started = clock()
        step()
        seconds.append(clock() - started)
    if device == "cuda":
        name, megabytes = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**20
    else:
        name, megabytes = "CPU", float("nan")
    return {
        "batches": [(arguments.batch, first, float(np.median(seconds)))],
        "megabytes": megabytes,
        "device": f"torch {torch.__version__}, {name}",
    }


if __name__ == "__main__":
    main()
