import time

from durian.cpuload import CPULoad


def test_the_load_is_the_part_of_a_cpu_used_since_the_last_look() -> None:
    clock = iter([100.0, 102.0, 103.0, 103.0])
    used = iter([7.0, 7.5, 9.5, 9.5])
    load = CPULoad(lambda: next(clock), lambda: next(used))
    assert [load.look(), load.look()] == [0.25, 2.0]
    assert load.look() == 0.0  # no time has passed


def test_it_is_this_process_that_is_measured() -> None:
    load, enough = CPULoad(), time.process_time() + 0.02
    while time.process_time() < enough:
        pass
    assert load.look() > 0.0
