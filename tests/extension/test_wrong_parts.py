"""A wrong part of each kind is refused at import, in one line with the file and the mend."""

from pathlib import Path

import pytest

from reid.config import load_cfg
from reid.losses import LOSSES
from reid.modeling import BACKBONES, REGULARIZERS
from reid.utils.errors import InputError

LOSS = "from torch import nn\nfrom reid.losses import LOSSES, Loss\n"
REGULARIZER = "from reid.modeling.regularizers import REGULARIZERS, Regularizer\n"
ATTACK = "from reid.robustness.attacks import ATTACKS, Attack\n"
OBJECTIVE = "from reid.robustness.objectives import OBJECTIVES, Objective\n"
AUGMENTATION = "from reid.data.augmentation import AUGMENTATIONS, Augmentation\n"
SAMPLER = "from reid.data.samplers import SAMPLERS, PlanSampler\n"


def loss(name: str = '"wrong"', init: str = "self", body: str = 'consumes = "feat"') -> str:
    return (
        f"{LOSS}@LOSSES.register({name})\nclass Wrong(Loss):\n    {body}\n"
        f"    def __init__({init}):\n        super().__init__()\n"
    )


WRONG = {
    "no name": (f"{LOSS}@LOSSES.register\nclass Wrong(Loss):\n    pass\n", "without a name"),
    "upper case": (loss('"Wrong"'), "must be lower-case letters"),
    "a word of YAML": (loss('"none"'), "no word that YAML reads as a value"),
    "taken": (loss('"triplet"'), "two components of kind loss are named 'triplet'"),
    "a key of the section": (loss('"names"'), "LOSS.NAMES is a key of that section; rename it"),
    "a sister's name": (
        f"{OBJECTIVE}@OBJECTIVES.register('pgd')\nclass Wrong(Objective):\n    pass\n",
        "ATTACK.PGD belongs to the attack in",
    ),
    "no consumes": (loss(body="pass"), "lacks 'consumes'; write consumes = \"feat\", "),
    "consumes what is not there": (loss(body='consumes = "images"'), "consumes is 'images'"),
    "a loss that is no module": (
        f"{LOSS}@LOSSES.register('wrong')\nclass Wrong:\n    consumes = 'feat'\n",
        "must derive from torch.nn",
    ),
    "a loss that is a function": (
        f"{LOSS}@LOSSES.register('wrong')\ndef wrong(x, labels):\n    return x\n",
        "a function cannot be one; write a class that derives from",
    ),
    "an unknown fact": (loss(init="self, num_cameras"), "argument num_cameras has no default"),
    "a default that is an object": (loss(init="self, eps=object()"), "is no value of a config"),
    "a default that can be changed": (loss(init="self, ks=[1, 2]"), "a list can be changed"),
    "a default that is infinite": (loss(init="self, most=float('inf')"), "no config file can say"),
    "an argument in upper case": (loss(init="self, K=1"), "argument K cannot be a config key"),
    "an argument that is a word of YAML": (loss(init="self, on=True"), "argument on cannot be"),
    "a regularizer without reseed": (
        "from torch import nn\n" + REGULARIZER + "@REGULARIZERS.register('wrong')\n"
        "class Wrong(nn.Module):\n    pass\n",
        "lacks 'reseed'; derive from reid.modeling.regularizers.Regularizer",
    ),
    "an objective that is a function": (
        f"{OBJECTIVE}@OBJECTIVES.register('wrong')\ndef wrong(embed, clean, case, rngs):\n"
        "    return None\n",
        "a function cannot be one",
    ),
    "an objective without the base": (
        f"{OBJECTIVE}@OBJECTIVES.register('wrong')\nclass Wrong:\n    pass\n",
        "must derive from reid.robustness.objectives.base.Objective",
    ),
    "an attack without the base": (
        f"{ATTACK}@ATTACKS.register('wrong')\nclass Wrong:\n    pass\n",
        "must derive from reid.robustness.attacks.base.Attack",
    ),
    "an attack with a fact of its own": (
        f"{ATTACK}@ATTACKS.register('wrong')\nclass Wrong(Attack):\n"
        "    def __init__(self, eps, budget):\n        pass\n",
        "argument budget has no default; give it one, and it is a config key; known at run time:"
        " eps",
    ),
    "an augmentation without width": (
        f"{AUGMENTATION}@AUGMENTATIONS.register('wrong')\nclass Wrong(Augmentation):\n    pass\n",
        "lacks 'width'",
    ),
    "an augmentation whose key is taken": (
        f"{AUGMENTATION}@AUGMENTATIONS.register('size')\nclass Wrong(Augmentation):\n"
        "    width = 1\n    def __init__(self, train=1):\n        pass\n",
        "INPUT.SIZE_TRAIN is a key of that section",
    ),
    "a sampler without the base": (
        f"{SAMPLER}@SAMPLERS.register('wrong')\nclass Wrong:\n    pass\n",
        "must derive from reid.data.samplers.plan.PlanSampler",
    ),
    "a pooling that is no class": (
        "from reid.modeling import POOLINGS\nPOOLINGS.register('wrong')(5)\n",
        "a int cannot be called",
    ),
    "a head with a fact of its own": (
        "from torch import nn\nfrom reid.modeling import HEADS\n@HEADS.register('wrong')\n"
        "class Wrong(nn.Module):\n    def __init__(self, feat_dim, num_cameras):\n        pass\n",
        "argument num_cameras has no default",
    ),
    "a data set with a fact of its own": (
        "from reid.data.datasets import DATASETS\n@DATASETS.register('wrong')\n"
        "def wrong(root, train, year):\n    pass\n",
        "argument year has no default",
    ),
    "a corruption with other arguments": (
        "from reid.robustness.corruptions import CORRUPTIONS\n@CORRUPTIONS.register('wrong')\n"
        "def wrong(images, level, rngs):\n    pass\n",
        "argument level has no default",
    ),
    "no Python": ("def wrong(:\n", "wrong.py:1 is no Python"),
    "a missing module": ("import no_such_module\n", "No module named 'no_such_module'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_part_ends_in_one_clear_line(tmp_path: Path, case: str) -> None:
    text, says = WRONG[case]
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(InputError) as caught:
        load_cfg(None, ["IMPORTS", str(tmp_path / "wrong.py")])
    message = str(caught.value)
    assert message.startswith("command line: IMPORTS: ")
    assert says in message and "\n" not in message
    assert str(tmp_path / "wrong.py") in message


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("./nowhere.py", "nowhere.py does not exist"),
        ("no_such_lab.losses", "no_such_lab.losses cannot be imported: No module named"),
        ("parts/circle.txt", "does not exist"),
    ],
)
def test_what_cannot_be_imported_is_named(entry: str, says: str) -> None:
    with pytest.raises(InputError, match="command line: IMPORTS: ") as caught:
        load_cfg(None, ["IMPORTS", entry])
    assert says in str(caught.value)


def test_what_was_refused_is_in_no_table() -> None:
    for table in (LOSSES, BACKBONES, REGULARIZERS):
        assert "wrong" not in table


def test_a_backbone_that_lacks_an_attribute_is_named_when_it_is_built() -> None:
    with pytest.raises(InputError, match=r"resnet.py:\d+: backbone 'resnet50' lacks the attribute"):
        BACKBONES.check_built("resnet50", object())


def test_a_real_mistake_in_a_part_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_cfg(None, ["IMPORTS", str(tmp_path / "broken.py")])
