"""Settings that are lists of numbers."""

from __future__ import annotations

import argparse

import pytest

from fovea.cli.setting_flags import add_settings, settings_of
from fovea.contract.errors import Misconfigured
from fovea.serving.settings import Settings


def read(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_of(parser.parse_args(words))


def test_bounds_of_buckets_are_numbers_with_commas_between() -> None:
    assert read("--latency-buckets-s=0.001, 0.1,2").latency_buckets_s == (0.001, 0.1, 2.0)


@pytest.mark.parametrize("given", ["", "0,1", "1,1", "2,1", "1,inf", "nan", "fast", ",".join(map(str, range(1, 66)))])
def test_bounds_that_are_none_are_refused_by_the_name_of_their_flag(given: str) -> None:
    with pytest.raises(Misconfigured, match="--latency-buckets-s"):
        read(f"--latency-buckets-s={given}")
