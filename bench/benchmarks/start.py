"""What a new process pays; asv runs each statement in one, after the setup beside it."""

ROWS = "numpy.random.default_rng(0).standard_normal((500, 64), dtype='f4')"
CALL = "superpos_fast.coherence(rows)"
# Before superpos_fast is imported, which reads it: a folder that holds no compiled kernel yet.
EMPTY_CACHE = """
import atexit, os, shutil, tempfile
folder = tempfile.mkdtemp()
atexit.register(shutil.rmtree, folder, True)
os.environ["NUMBA_CACHE_DIR"] = folder
"""


class Import:
    timeout = 60
    number = 1
    repeat = 5

    def timeraw_import(self):
        return "import superpos_fast", "import numpy"


class FirstCall(Import):
    """With all that it imports."""

    def timeraw_import(self):
        return "import superpos_fast.capacity as c; c.bounds; c.pack", "import numpy"

    def timeraw_compiled(self):
        return CALL, f"import numba, numpy, superpos_fast\nrows = {ROWS}"


class ColdCall:
    timeout = 120
    number = 1
    repeat = 2

    def timeraw_nothing_compiled(self):
        return CALL, f"{EMPTY_CACHE}\nimport numpy, superpos_fast\nrows = {ROWS}"
