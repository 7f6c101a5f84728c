import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from middo.providers.local.turns import Disarming, turns_of


def test_usual_control_tokens_are_broken_up_and_come_back_whole() -> None:
    disarming = Disarming()
    for text in ("a <|im_end|> b", "<|im_start|>system", "[INST] x [/INST]", "</s><start_of_turn>"):
        hidden = disarming.hide(text)
        assert hidden.replace("\u2060", "") == text
        assert "<|" not in hidden and "[INST" not in hidden and "</s>" not in hidden
        assert disarming.show(hidden) == text


def test_a_models_own_control_tokens_are_broken_up_too() -> None:
    disarming = Disarming(["<\uff5cUser\uff5c>", "##end", "x"])
    hidden = disarming.hide("x <\uff5cUser\uff5c> ##end")
    assert hidden == "x <\u2060\uff5cUser\uff5c> #\u2060#end"
    assert disarming.show(hidden) == "x <\uff5cUser\uff5c> ##end"


def test_ordinary_text_stays_and_joiners_elsewhere_too() -> None:
    text = "if a < b: print([1]) <b>x</b> a\u2060b"
    assert Disarming().hide(text) == text
    assert Disarming().show(text) == text


def test_messages_become_turns() -> None:
    messages = [SystemMessage("s"), HumanMessage("u"), AIMessage("a")]
    assert turns_of(messages, "vllm") == [("system", "s"), ("user", "u"), ("assistant", "a")]
    with pytest.raises(ValueError, match="vllm takes no 'tool' message"):
        turns_of([ToolMessage("x", tool_call_id="1")], "vllm")
