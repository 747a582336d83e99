from spinloop.training.monitor import History


def test_rows_are_means_of_their_windows(tmp_path):
    history = History(every=2)
    for step, loss in enumerate([1.0, 3.0, 10.0, 20.0, 7.0], start=1):
        history.add(step, {"total": loss})
    history.write(tmp_path / "h.csv", 5)
    assert (tmp_path / "h.csv").read_text() == "step,total\n2,2\n4,15\n5,7\n"


def test_a_resumed_history_writes_the_same_file(tmp_path):
    whole, first = History(every=3), History(every=3)
    values = [0.1 * step for step in range(1, 8)]
    for step, value in enumerate(values, start=1):
        whole.add(step, {"total": value})
        if step <= 4:
            first.add(step, {"total": value})
    second = History(every=3)
    second.load_state_dict(first.state_dict())
    for step in (5, 6, 7):
        second.add(step, {"total": values[step - 1]})
    whole.write(tmp_path / "whole.csv", 7)
    second.write(tmp_path / "resumed.csv", 7)
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()
