import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from middo.core.config import RunConfig
from middo.core.errors import ConfigError
from middo.formats.config_reference import annotated_default, config_keys, config_schema
from middo.formats.configuration import dump_config, load_config

WriteFile = Callable[[str | bytes], Path]


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteFile:
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        path = Path("run.yaml")
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def message_of(path: Path | None = None, **sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=sources.pop("environ", {}), **sources)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


# --- precedence ---


def test_without_sources_the_defaults_hold() -> None:
    assert load_config(None, environ={}) == RunConfig()


def test_each_source_is_stronger_than_the_one_below(config_file: WriteFile, tmp_path: Path) -> None:
    preset = tmp_path / "preset.yaml"
    preset.write_text("{rounds: 1, seed: 1, training: {epochs: 1.5, lora: {rank: 2, alpha: 3}}}")
    path = config_file("{seed: 2, data: {path: a.jsonl, limit: 20}, training: {lora: {rank: 4}}}")
    environ = {"MIDDO_DATA__LIMIT": "30", "MIDDO_TRAINING__LORA__RANK": "8", "MIDDO_SEED": "3"}
    config = load_config(
        path,
        preset=preset,
        environ=environ,
        flags={"data.limit": 40, "data.path": None, "seed": 4},
        sets=["seed=5", "training.lora.rank=16", "training.lora.rank=32"],
    )
    assert config.rounds == 1  # preset
    assert config.training.epochs == 1.5
    assert config.training.lora.alpha == 3
    assert config.data.path == "a.jsonl"  # file; the flag that was not given changes nothing
    assert config.data.limit == 40  # flag over environment over file
    assert config.seed == 5  # --set over flag
    assert config.training.lora.rank == 32  # the last --set
    assert config.training.lora.dropout == 0.0  # default


def test_environment_beats_the_file_and_reads_yaml(config_file: WriteFile) -> None:
    path = config_file("signals: {axes: [quality]}\nagents: {rewriter: {model: 'a:b'}}\n")
    config = load_config(
        path,
        environ={
            "MIDDO_SIGNALS__AXES": "[complexity, diversity]",
            "MIDDO_AGENTS__REWRITER__PARAMS": "{temperature: 0.5}",
        },
    )
    assert [str(axis) for axis in config.signals.axes] == ["complexity", "diversity"]
    assert config.agents.rewriter.model == "a:b"
    assert config.agents.rewriter.params == {"temperature": 0.5}


def test_other_names_of_the_environment_are_left_alone() -> None:
    environ = {
        "MIDDO_CACHE": "/x",
        "MIDDO_LOAD_PLUGINS": "a",
        "XMIDDO_DATA__PATH": "b",
        "HOME": "/",
    }
    assert load_config(None, environ=environ) == RunConfig()


def test_an_unknown_variable_of_a_section_is_an_error() -> None:
    assert message_of(environ={"MIDDO_TRAINING__EPOCH": "2"}) == (
        "MIDDO_TRAINING__EPOCH: training.epoch: unknown key; did you mean 'epochs'?"
    )


def test_a_relative_data_path_stays_relative(config_file: WriteFile, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "run.yaml").write_text("data: {path: rows.jsonl}")
    assert load_config(folder / "run.yaml", environ={}).data.path == "rows.jsonl"


def test_a_section_whose_keys_are_all_commented_out_keeps_its_defaults(
    config_file: WriteFile,
) -> None:
    path = config_file("training:\n  # epochs: 3\nrounds: 2\nagents:\n  critic:\n")
    assert load_config(path, environ={}) == RunConfig(rounds=2)


def test_a_part_of_a_role_can_be_set_alone() -> None:
    config = load_config(None, environ={}, sets=["agents.rewriter.params={temperature: 0}"])
    assert config.agents.rewriter.model == RunConfig().agents.rewriter.model
    assert config.agents.rewriter.params == {"temperature": 0}


def test_a_file_of_comments_means_the_defaults(config_file: WriteFile) -> None:
    assert load_config(config_file("# nothing yet\n"), environ={}) == RunConfig()


# --- values ---


@pytest.mark.parametrize("text", ["2e-4", "2.0e-4", "0.0002", "2E-4"])
def test_numbers_with_an_exponent_are_numbers(config_file: WriteFile, text: str) -> None:
    path = config_file(f"training: {{learning_rate: {text}}}")
    assert load_config(path, environ={}).training.learning_rate == 0.0002


def test_a_date_stays_text(config_file: WriteFile) -> None:
    path = config_file("agents: {rewriter: {model: 'a:b', params: {api_version: 2024-10-21}}}")
    assert load_config(path, environ={}).agents.rewriter.params == {"api_version": "2024-10-21"}


def test_anchors_and_merge_keys_work(config_file: WriteFile) -> None:
    path = config_file(
        "agents:\n  rewriter: &model {model: 'a:b', params: {n: 1}}\n"
        "  critic: {<<: *model, model: 'c:d'}\n"
    )
    agents = load_config(path, environ={}).agents
    assert agents.critic is not None
    assert (agents.critic.model, agents.critic.params) == ("c:d", {"n": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rounds: -1", "run.yaml:1: rounds: -1 is not valid; expected an integer of at least 0"),
        ("rounds: 2.5", "run.yaml:1: rounds: 2.5 is not valid; expected an integer of at least 0"),
        (
            "rounds: true",
            "run.yaml:1: rounds: true is not valid; expected an integer of at least 0",
        ),
        (
            "rounds: many",
            "run.yaml:1: rounds: 'many' is not valid; expected an integer of at least 0",
        ),
        (
            "seed: '7'",
            "seed: '7' is not valid; expected an integer of at least 0 and below 2147483648",
        ),
        ("rounds:", "run.yaml:1: rounds: null is not valid; expected an integer of at least 0"),
        (
            "seed: &x 1\nsignals:\n  share: 1.5",
            "run.yaml:3: signals.share: 1.5 is not valid; expected a number above 0 and below 1",
        ),
        (
            "training:\n\n  method: lorra\n",
            "run.yaml:3: training.method: 'lorra' is not valid; expected one of lora, full",
        ),
        (
            "checks:\n  similarity:\n    - 0.5\n    - high\n",
            "run.yaml:4: checks.similarity[1]: 'high' is not valid; expected a number",
        ),
        (
            "checks: {similarity: [0.9, 0.6]}",
            "run.yaml:1: checks: similarity: the lower bound 0.9 is not below the upper 0.6",
        ),
        (
            "signals:\n  axes: [quality,\n    beauty]",
            "run.yaml:3: signals.axes[1]: 'beauty' is not valid; "
            "expected one of complexity, diversity, quality",
        ),
        (
            "signals: {k: {beauty: 2}}",
            "run.yaml:1: signals.k.beauty: 'beauty' is not valid; "
            "expected one of complexity, diversity, quality",
        ),
        (
            "signals: {k: {quality: high}}",
            "run.yaml:1: signals.k.quality: 'high' is not valid; expected a number",
        ),
        ("data: {path: 12}", "run.yaml:1: data.path: 12 is not valid; expected text"),
        ("data: demo", "data: 'demo' is not valid; expected a section with path, format, limit"),
        ("agents:\n  critic:\n    params: {}\n", "run.yaml:2: agents.critic.model: is missing"),
    ],
)
def test_a_wrong_value_is_named_with_place_and_expectation(
    config_file: WriteFile, text: str, expected: str
) -> None:
    assert expected in message_of(config_file(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "rounds: 1\n\ntraining:\n  epoch: 2\n",
            "run.yaml:4: training.epoch: unknown key; did you mean 'epochs'?",
        ),
        ("trainning: {}", "run.yaml:1: trainning: unknown key; did you mean 'training'?"),
        ("epochs: 2", "run.yaml:1: epochs: unknown key; did you mean 'training.epochs'?"),
        (
            "gate: {zzz: 2}",
            "run.yaml:1: gate.zzz: unknown key; expected one of margin, seeds, patience, on_worse",
        ),
        (
            "training:\n  lora:\n    rang: 2\n",
            "run.yaml:3: training.lora.rang: unknown key; did you mean 'rank'?",
        ),
        (
            "agents:\n  critic: {model: 'a:b', modell: c}\n",
            "run.yaml:2: agents.critic.modell: unknown key; did you mean 'model'?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    config_file: WriteFile, text: str, expected: str
) -> None:
    assert message_of(config_file(text)) == expected


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (
            "{metric: bleu}",
            "metric: 'bleu' is not valid; expected number, constraints, lm-eval:NAME",
        ),
        ("{metric: 'lm-eval:'}", "metric: 'lm-eval:' is not valid"),
        ("{metric: number}", "data: is missing; number needs a file of rows"),
        ("{metric: number, data: a, include_path: b}", "include_path: only tasks of lm-eval"),
        ("{metric: 'lm-eval:x', data: a}", "data: a task of lm-eval says that in its own file"),
        ("{metric: 'lm-eval:x', max_tokens: 9}", "max_tokens: a task of lm-eval says that"),
        ("{metric: number, dat: a}", "evaluation.tasks[0].dat: unknown key; did you mean 'data'?"),
        ("{metric: number, data: a.x}, {metric: constraints, data: b/a.y}", "two are called 'a'"),
    ],
)
def test_a_wrong_task_is_told_in_words(config_file: WriteFile, task: str, problem: str) -> None:
    said = message_of(config_file(f"evaluation:\n  tasks: [{task}]\n"))
    assert said.startswith("run.yaml:2: evaluation")
    assert problem in said


def test_tasks_are_called_by_what_they_measure() -> None:
    tasks = load_config(
        None,
        environ={},
        sets=[
            "evaluation.tasks=[{metric: number, data: x/gsm8k.jsonl}, {metric: 'lm-eval:arc_easy'},"
            " {metric: 'import:a.b:score'}, {metric: number, data: y, name: mine, max_tokens: 9}]"
        ],
    ).evaluation.tasks
    assert [task.title for task in tasks] == ["gsm8k", "arc_easy", "score", "mine"]
    assert [task.answer_tokens for task in tasks] == [256, 256, 256, 9]


def test_several_problems_are_counted_on_one_line(config_file: WriteFile) -> None:
    path = config_file("rounds: -1\ngate:\n  patince: 2\n")
    assert message_of(path, sets=["seed=x"]) == (
        "run.yaml:3: gate.patince: unknown key; did you mean 'patience'?; "
        "and 2 more: rounds (run.yaml:1), seed (--set)"
    )


def test_the_place_is_that_of_the_winning_source(config_file: WriteFile) -> None:
    path = config_file("rounds: 1\ntraining: {lora: {rank: 4}}\n")
    assert message_of(path, flags={"rounds": -2}).startswith("command line: rounds: -2 is not")
    assert message_of(path, sets=["training.lora.rank=0"]).startswith(
        "--set: training.lora.rank: 0"
    )
    assert message_of(path, environ={"MIDDO_ROUNDS": "no"}).startswith(
        "MIDDO_ROUNDS: rounds: false"
    )


# --- files that can't be used ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "run.yaml: is empty"),
        (" \n\n", "run.yaml: is empty"),
        ("- rounds\n", "run.yaml:1: holds a list; expected a mapping"),
        ("just words\n", "run.yaml:1: holds a single value; expected a mapping"),
        ("rounds: 1\nseed: 2\nrounds: 3\n", "run.yaml:3: rounds: the key is given twice"),
        (
            "training:\n  lora:\n    rank: 1\n    rank: 1\n",
            "run.yaml:4: training.lora.rank: the key is given twice",
        ),
        ("rounds: 1\ndata: [1\n", "run.yaml:3: is not valid YAML: "),
        ("rounds: 1\n\tseed: 2\n", "run.yaml:2: is not valid YAML: found character"),
        ("seed: 1\ndata: a: b\n", "run.yaml:2: is not valid YAML: mapping values are not allowed"),
        ("rounds: 1\n---\nrounds: 2\n", "run.yaml:2: is not valid YAML"),
        ("seed: 1\n1: 2\n", "run.yaml:2: the key '1' is no text; quote it"),
        ("? [a, b]\n: 2\n", "run.yaml:1: a key is a list or mapping"),
        ("seed: *nobody\n", "run.yaml:1: is not valid YAML: found undefined alias"),
        ("data: &a\n  path: *a\n", "run.yaml: is nested too deeply"),
        ("data: " + "[" * 1100, "run.yaml: is nested too deeply"),
        ("gate: {margin: .inf}", "run.yaml:1: '.inf' is not valid; expected a finite number"),
        ("gate:\n  margin: .nan\n", "run.yaml:2: '.nan' is not valid; expected a finite number"),
        ("seed: !!python/object:os.system x", "run.yaml:1: is not valid YAML: could not determine"),
        ("seed: !!int many", "run.yaml:1: 'many' is no value of the YAML type 'int'"),
        ("seed: !!int", "run.yaml:1: '' is no value of the YAML type 'int'"),
        ("seed: !!bool perhaps", "run.yaml:1: 'perhaps' is no value of the YAML type 'bool'"),
        ("seed: " + "[" * 24_000, "run.yaml: is nested too deeply"),
        ("seed: &a [*a]", "run.yaml: is nested too deeply"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefgh")
            ),
            "run.yaml: holds more than 100,000 values",
        ),
        ("data: {path: !!binary aGk=}", "run.yaml:1: a value of the YAML type"),
        ('data: {path: "a\\0b"}', "run.yaml:1: the text 'a\\x00b' holds characters"),
        ('data: {path: "\\ud800"}', "holds characters that no text may hold"),
        (b"rounds: 1\nseed: \x01\n", "run.yaml:2: holds a character that YAML forbids"),
        (b"rounds: 1\ndata: {path: \xe9t\xe9}\n", "run.yaml:2: is not UTF-8 text (byte 0xe9)"),
        ('"line\\nbreak": 2\n', "run.yaml:1: line\\nbreak: unknown key"),
    ],
)
def test_a_broken_file_is_one_line_with_its_place(
    config_file: WriteFile, text: str | bytes, expected: str
) -> None:
    assert expected in message_of(config_file(text))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "none.yaml")
    assert "is a folder" in message_of(tmp_path)


def test_a_byte_order_mark_is_no_problem(config_file: WriteFile) -> None:
    assert load_config(config_file(b"\xef\xbb\xbfrounds: 2\n"), environ={}).rounds == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rounds", "--set 'rounds': expected key=value, such as training.epochs=2"),
        ("=3", "--set: '' is no dotted key"),
        ("training..epochs=3", "--set: 'training..epochs' is no dotted key"),
        ("data.path=[1", "--set: is not valid YAML"),
        ("trainig.epochs=2", "--set: trainig: unknown key; did you mean 'training'?"),
        ("model.base=", "--set: model.base: null is not valid; expected text"),
    ],
)
def test_a_broken_set_is_one_line(text: str, expected: str) -> None:
    assert message_of(sets=[text]).startswith(expected)


def test_a_path_that_is_no_text_is_refused() -> None:
    assert message_of(flags={"data.path": "caf\udce9.jsonl"}).startswith("command line: data.path:")


# --- dump, schema, default file ---


def test_a_dumped_configuration_loads_back(tmp_path: Path) -> None:
    config = load_config(
        None,
        environ={},
        sets=[
            "data.path='2e-4'",
            "model.base='null'",
            "training.learning_rate=1e-5",
            "agents.rewriter.params={date: '2024-01-01', text: 'ünï\\n: #', 'on': 'yes', e: '1e5'}",
            "agents.critic={model: 'openai:x', api_key_env: MY_KEY}",
            "signals.k={quality: 1.5}",
            "checks.similarity=[0.1, 0.9]",
        ],
    )
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path, environ={}) == config
    # Another program's YAML reader finds the same texts.
    assert yaml.safe_load(dump_config(config))["data"]["path"] == "2e-4"


def test_the_annotated_default_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(annotated_default(), encoding="utf-8")
    assert load_config(path, environ={}) == RunConfig()
    assert yaml.safe_load(annotated_default()) == RunConfig().model_dump(mode="json")
    assert max(map(len, annotated_default().splitlines())) <= 100
    for key in config_keys():
        assert key.meaning, f"{key.name} has no description"
        assert key.meaning.rstrip(".")[:30] in " ".join(annotated_default().split("\n"))


def test_the_schema_accepts_what_the_model_accepts() -> None:
    schema = config_schema()
    plain = RunConfig().model_dump(mode="json")
    jsonschema.validate(plain, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "rounds": -1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "roundz": 1}, schema)
    assert json.loads(json.dumps(schema)) == schema


def test_every_field_of_the_model_is_a_key() -> None:
    names = {key.name for key in config_keys()}
    plain = RunConfig().model_dump(mode="json")

    def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for key, value in values.items():
            if isinstance(value, dict) and prefix + key not in names:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key

    assert set(leaves(plain)) <= names
    assert {"agents.critic.model", "rounds", "training.lora.rank"} <= names
