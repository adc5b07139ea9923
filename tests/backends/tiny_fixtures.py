"""Fixtures of the tiny model, for both files that test the transformers engine."""

import pytest
import torch
from tiny_model import load_stock, make, make_tokenizer, save


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # Threads that wait for each other over 64 × 64 matrices double the time on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"), make_tokenizer())


@pytest.fixture(scope="session")
def engine(folder):
    return make(folder)


@pytest.fixture(scope="session")
def stock(folder):
    return load_stock(folder)
