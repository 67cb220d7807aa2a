"""Members of the families: which networks there are, by name, and which training of one a member is."""

from collections.abc import Iterable

from cxr.core.errors import InputError, hint

FAMILIES = ("ensemble", "efficientnet")
EFFICIENTNETS = tuple([f"B{n}" for n in range(8)] + ["V2B0", "V2B1", "V2B2", "V2B3", "V2S", "V2M", "V2L"])
OTHERS = """convnexttiny convnextsmall convnextbase convnextlarge convnextxlarge inceptionresnetv2 mobilenet mobilenetv2
    mobilenetv3small mobilenetv3large nasnetmobile nasnetlarge resnet50 resnet101 resnet152 resnet50v2 resnet101v2
    resnet152v2 vgg16 vgg19"""
# Backbones by name, with the key of their input size: all of keras.applications. networks.classifiers builds them.
BACKBONES = {
    **dict.fromkeys(("densenet121", "densenet169", "densenet201"), "densenet_input_size"),
    "inceptionv3": "inception_input_size",
    "xception": "xception_input_size",
    **{f"efficientnet{variant.lower()}": "efficientnet_input_size" for variant in EFFICIENTNETS},
    **dict.fromkeys(OTHERS.split(), "input_size"),
    "tiny": "densenet_input_size",  # three convolutions, for tests and for a first look in seconds
}
SMALLEST_INPUT = {"inceptionv3": 75, "xception": 71, "inceptionresnetv2": 75}


def backbone_of(member: str) -> str:
    """The backbone of a member: ``xception`` of ``xception@2``, which is trained with another seed."""
    return member.partition("@")[0]


def training_of(member: str) -> int:
    """Which training of its backbone a member is: 2 of ``xception@2``, 1 of ``xception``."""
    return int(member.partition("@")[2] or 1)


def check(members: Iterable[str], where: str) -> None:
    """Refuse a name that is no member's.

    Raises
    ------
    InputError
        Names the network most like it, or says what comes after @.
    """
    for member in members:
        backbone, at, number = member.partition("@")
        if backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise InputError(f"{where}: no network {backbone}.{hint(backbone, BACKBONES)} Networks: {known}.")
        if at and not (number.isascii() and number.isdecimal() and str(int(number)) == number and int(number) > 1):
            raise InputError(
                f"{where}: {member}: after @ comes which training of {backbone} it is, 2 or more; the first is "
                f"{backbone} itself."
            )
