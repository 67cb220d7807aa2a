import json

import pytest
from pydantic import ValidationError

from cxr.core import configuration
from cxr.core.configuration import params_from
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import STAGES, Params
from tests.conftest import PROJECT, tiny_params


def params(**content) -> Params:
    return params_from(content, "PARAMS.json")


def test_the_project_s_params_json_is_the_defaults():
    assert configuration.load_params(PROJECT / "PARAMS.json") == Params()


def test_every_key_has_a_description_and_belongs_to_one_stage():
    fields = [(name, field) for stage in STAGES.values() for name, field in stage.model_fields.items()]
    assert [name for name, field in fields if not field.description] == []
    names = [name for name, _ in fields]
    assert len(names) == len(set(names))
    assert list(Params.model_fields) == list(STAGES)


def test_flat_parameters_make_the_same_parameters_again():
    changed = params(
        EPOCHS=3, VIEWS=["PA"], UNET_TEST_SETS=["jsrt"], WEIGHTS={"xception": "x.weights.h5"},
        MEMBER_OVERRIDES={"xception": {"EPOCHS": 8}}, BLANK_LABELS={"Edema": "ignore"},
        ENSEMBLE_MEMBERS=["tiny", "xception"],
    )  # fmt: skip
    assert params(**json.loads(json.dumps(changed.flat()))) == changed
    assert changed.flat()["EPOCHS"] == 3
    assert len(changed.flat()) == sum(len(stage.model_fields) for stage in STAGES.values())


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        params().training.epochs = 2


def test_efficientnet_is_an_ensemble_of_one():
    assert params(EFFICIENTNET_VARIANT="V2B0").members("efficientnet") == ("efficientnetv2b0",)
    assert params().members("ensemble") == ("densenet169", "inceptionv3", "xception")


def test_a_member_may_be_another_training_of_a_network_with_what_is_said_of_the_network_unless_of_itself():
    of_two = params(
        ENSEMBLE_MEMBERS=["xception", "xception@2", "xception@3"], XCEPTION_INPUT_SIZE=96, SEED=5,
        WEIGHTS={"xception": "none", "xception@3": "drawn"}, OUTPUT_STRIDE={"xception": 16, "xception@2": 8},
        MEMBER_OVERRIDES={"xception": {"EPOCHS": 4}, "xception@2": {"EPOCHS": 9}},
    )  # fmt: skip
    of_each = [
        (
            of_two.input_size(member), of_two.first_weights(member), of_two.output_stride(member),
            of_two.for_member(member).training.epochs, of_two.with_seed_of(member).general.seed,
        )
        for member in of_two.members("ensemble")
    ]  # fmt: skip
    assert of_each == [(96, "none", 16, 4, 5), (96, "none", 8, 9, 100_005), (96, "drawn", 16, 4, 200_005)]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (["xceptoin"], "no network xceptoin. Did you mean xception?"),
        (["xception@1"], "xception@1: after @ comes which training of xception it is, 2 or more"),
        (["xception@x"], "after @ comes"),
        (["xception@02"], "after @ comes"),
        (["xception@"], "after @ comes"),
        (["tiny", "tiny"], "tiny stands there twice. With another seed it is tiny@2"),
    ],
)
def test_names_that_are_no_members_are_refused(members, told):
    with pytest.raises(InputError, match=r"ENSEMBLE_MEMBERS") as refused:
        params(ENSEMBLE_MEMBERS=members)
    assert told in str(refused.value)


def test_each_member_has_its_own_input_size():
    sized = params(
        DENSENET_INPUT_SIZE=96, INCEPTION_INPUT_SIZE=128, XCEPTION_INPUT_SIZE=160, EFFICIENTNET_INPUT_SIZE=192
    )
    sizes = [sized.input_size(m) for m in ("densenet169", "inceptionv3", "xception", "efficientnetb6")]
    assert sizes == [96, 128, 160, 192]
    assert sized.pack_sizes() == (96, 128, 160, 192)


def test_films_are_packed_once_for_members_of_one_size():
    assert params().pack_sizes() == (512,)
    assert tiny_params().pack_sizes() == (32,)
    assert tiny_params(EFFICIENTNET_INPUT_SIZE=64).pack_sizes() == (32, 64)


def test_first_weights_are_one_for_all_or_one_a_member():
    assert params(WEIGHTS="none").first_weights("xception") == "none"
    own = params(WEIGHTS={"xception": "x.weights.h5"})
    assert (own.first_weights("xception"), own.first_weights("densenet169")) == ("x.weights.h5", "imagenet")


def test_an_override_changes_one_member_only():
    both = params(EPOCHS=5, DROPOUT=0.1, MEMBER_OVERRIDES={"xception": {"EPOCHS": 8, "DROPOUT": 0.4}})
    xception, densenet = both.for_member("xception"), both.for_member("densenet169")
    assert (xception.training.epochs, xception.models.dropout) == (8, 0.4)
    assert (densenet.training.epochs, densenet.models.dropout) == (5, 0.1)
    assert both.training.epochs == 5


def test_label_policies_name_the_six_findings():
    assert params(UNCERTAIN_LABELS=dict.fromkeys(FINDINGS, "negative")).tables.uncertain_labels["Edema"] == "negative"
