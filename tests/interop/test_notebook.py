"""In a notebook: a cell that is interrupted leaves what was done, and the kernel goes on."""

import time

import pytest
from jupyter_client import KernelManager

from superpos_fast.parts import Part

BEGIN = """
import threading, time
import numpy as np
import superpos_fast as sf
table = np.random.default_rng(0).standard_normal((6000, 32), dtype=np.float32)
options = {"k": 3, "threads": 2, "memory": "2MiB"}
expected = sf.nearest(table, **options)
threads = threading.active_count()
"""
CELL = """
def slowly(done, total):
    print("started", flush=True)
    time.sleep(0.05)
sf.nearest(table, checkpoint=sf.Checkpoint(%r, 1000), progress=slowly, **options)
"""
AFTER = """
print(threading.active_count() - threads)
print(sf.nearest(table, checkpoint=%r, **options) == expected)
"""
BAR = """
sf.nearest(table, progress=True, **options)
"""


class Notebook:
    """A kernel, and what cells of it show and how they end."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, shown=lambda text: None):
        """Return what a cell printed and displayed, and its reply."""
        asked, text = self.client.execute(code), []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                text.append(content["text"])
                shown("".join(text))
            elif kind in ("display_data", "execute_result"):
                text.append(content["data"].get("text/plain", ""))
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == asked:
                return "".join(text), reply["content"]


@pytest.fixture(scope="module")
def notebook():
    notebook = Notebook()
    notebook.run(BEGIN)
    yield notebook
    notebook.close()


def test_an_interrupted_cell(notebook, tmp_path):
    path, sent = tmp_path / "run.ckpt", []

    def interrupt(text):
        if text.count("started") > 3 and not sent:
            sent.append(time.perf_counter())
            notebook.manager.interrupt_kernel()

    _, reply = notebook.run(CELL % str(path), interrupt)
    took = time.perf_counter() - sent[0]
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert took < 1
    part = Part.load(path)
    assert 0 < part.pairs < part.total
    assert notebook.run(AFTER % str(path))[0].split() == ["0", "True"]


def test_the_bar(notebook):
    """tqdm's of notebooks where its widgets are there, else that of terminals."""
    text, reply = notebook.run(BAR)
    assert reply["status"] == "ok"
    assert "GFLOP/s" in text
    assert "100%" in text
