"""PTX to C++, one statement an instruction: what the compiler made of the kernels, on the CPU.

Registers are unsigned integers of their width, and instructions read them as what they say they
are.  An instruction that is not known here is an error, never left out.
"""

import re

TYPES = {
    f"{kind}{width}": f"{'i' if kind == 's' else 'u'}{width}"
    for kind in "bsu"
    for width in (8, 16, 32, 64)
} | {"f32": "f32", "f64": "f64", "pred": "bool", "f16": "u16"}  # fmt: skip
COMPARISONS = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "lo": "<", "ls": "<=", "hi": ">", "hs": ">=",
}  # fmt: skip
ROUNDINGS = {"rm": "FE_DOWNWARD", "rp": "FE_UPWARD", "rz": "FE_TOWARDZERO"}
TO_INTEGER = {"rzi": "std::trunc", "rni": "std::nearbyint", "rmi": "std::floor", "rpi": "std::ceil"}
SPECIAL = {"tid": "now->place", "ntid": "block", "ctaid": "block_place", "nctaid": "grid"}


def translate(ptx):
    """Return C++ with a function `KERNEL__launch` for each kernel."""
    text = re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", "", ptx, flags=re.S))
    dynamic = re.findall(r"\.extern \.shared[^;]*?([\w$]+)\[\];", text)
    arrays = re.findall(r"^\.shared \.align (\d+) \.b8 ([\w$]+)\[(\d+)\];", text, re.M)
    parts = ['#include "ptx.h"\n#include "exports.h"\nusing namespace ptx;']
    for match in re.finditer(r"\.entry (\w+)\s*\((.*?)\)[^{]*\{", text, re.S):
        body = text[match.end() : _closing(text, match.end())]
        parameters = re.findall(r"(\w+_param_\d+)", match[2])
        parts.append(Kernel(match[1], parameters, body, dynamic, arrays).code())
    return "\n".join(parts)


def _closing(text, start):
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError("unbalanced braces")


def _operands(text):
    return [part.strip() for part in re.split(r",(?![^{]*\})(?![^\[]*\])", text)] if text else []


def _members(group):
    return [part.strip() for part in group.strip("{}").split(",")]


def _width(kind):
    return int(re.sub(r"\D", "", kind))


def _unsigned(kind):
    return f"u{_width(kind)}"


class Kernel:
    """One entry."""

    def __init__(self, name, parameters, body, dynamic, arrays):
        self.name, self.parameters = name, parameters
        self.shared, size = {}, 0
        local = re.findall(r"\.shared \.align (\d+) \.b8 ([\w$]+)\[(\d+)\];", body)
        for alignment, array, count in [*arrays, *local]:
            size = -(-size // int(alignment)) * int(alignment)
            self.shared[array] = size
            size += int(count)
        self.static = -(-size // 128) * 128
        self.shared.update(dict.fromkeys(dynamic, self.static))
        self.registers, self.lines = [], []
        for line in body.splitlines():
            self.take(line.strip())

    def code(self):
        """Return the kernel as a function, and what launches it."""
        declared = "\n".join(
            f"{kind} {', '.join(f'{name}{i}_ = 0' for i in range(count))};"
            for kind, name, count in self.registers
        )
        body = "\n".join(self.lines)
        return (
            f"static void {self.name}(void** arguments) {{\n{declared}\n{body}\n}}\n"
            f'extern "C" int {self.name}__launch(const unsigned* shape, size_t dynamic, '
            f"unsigned seed, void** values) {{\n"
            f"  return emu::launch({{shape[0], shape[1], shape[2]}}, {{shape[3], shape[4], "
            f"shape[5]}}, {self.static} + dynamic, seed, [=] {{ {self.name}(values); }});\n}}\n"
        )

    def take(self, line):
        """Translate a line."""
        if not line or line in "{}" or line.startswith((".shared", ".pragma", ".loc")):
            return
        if match := re.fullmatch(r"\.reg \.(\w+)\s+%(\w+)<(\d+)>;", line):
            kind = "bool" if match[1] == "pred" else _unsigned(match[1])
            self.registers.append((kind, match[2], int(match[3])))
        elif match := re.fullmatch(r"([\w$]+):", line):
            self.lines.append(f"{self.label(match[1])}:;")
        else:
            self.lines.append(self.statement(line))

    def statement(self, line):
        """Return an instruction, perhaps under a predicate or with a register of its own."""
        if match := re.fullmatch(r"\{ \.reg \.(\w+) (\w+); (.*;) \}", line):
            inside = self.statement(re.sub(rf"\b{match[2]}\b", f"%{match[2]}", match[3]))
            return f"{{ {_unsigned(match[1])} {match[2]}_ = 0; {inside} }}"
        match = re.fullmatch(r"(?:@(!?)%(\w+)\s+)?([\w.:]+)\s*(.*);", line)
        if match is None:
            raise NotImplementedError(line)
        words = match[3].split(".")
        handler = getattr(self, FAMILIES.get(words[0], f"do_{words[0]}"), None)
        if handler is None:
            raise NotImplementedError(line)
        try:
            code = handler(words, _operands(match[4]))
        except (KeyError, IndexError, ValueError, AssertionError) as error:
            raise NotImplementedError(f"{line}: {error!r}") from error
        return f"if ({match[1]}{match[2]}_) {{ {code} }}" if match[2] else code

    # ---- operands

    @staticmethod
    def label(name):
        return "L" + name.replace("$", "_")

    def bits(self, operand):
        """Return an operand's bits as C++."""
        if operand.startswith("%"):
            if match := re.fullmatch(r"%(tid|ntid|ctaid|nctaid)\.([xyz])", operand):
                return f"(u32){SPECIAL[match[1]]}.{match[2]}"
            return f"{operand[1:]}_"
        if operand.startswith("0f"):
            return f"0x{operand[2:]}u"
        if operand.startswith("0d"):
            return f"0x{operand[2:]}ull"
        if operand in self.shared:
            return f"{self.shared[operand]}u"
        if re.fullmatch(r"-?(0x[0-9A-Fa-f]+|\d+)U?", operand):
            return f"(u64){operand.rstrip('U')}ll"
        raise ValueError(operand)

    def value(self, operand, kind, flush=False):
        """Return an operand's value as of a type."""
        bits = self.bits(operand)
        if kind in ("f32", "f64"):
            number = f"bits<{kind}>(({_unsigned(kind)})({bits}))"
            return f"flushed({number})" if flush and kind == "f32" else number
        return bits if kind == "pred" else f"({TYPES[kind]})({bits})"

    def put(self, operand, kind, expression, flush=False):
        """Return an assignment."""
        assert operand.startswith("%"), operand
        if kind in ("f32", "f64"):
            value = f"({kind})({expression})"
            value = f"flushed({value})" if flush and kind == "f32" else value
            return f"{operand[1:]}_ = bits<{_unsigned(kind)}>({value});"
        cast = "" if kind == "pred" else f"({TYPES[kind]})"
        return f"{operand[1:]}_ = {cast}({expression});"

    def address(self, operand):
        match = re.fullmatch(r"\[([%\w$]+)\s*(?:\+\s*(-?\d+))?\]", operand)
        return f"((u64){self.bits(match[1])} + {match[2] or 0}ll)"

    @staticmethod
    def space(words):
        return "SHARED" if "shared" in words else "GLOBAL" if "global" in words else "GENERIC"

    # ---- memory

    def do_ld(self, words, operands):
        kind = words[-1]
        if "param" in words:
            match = re.fullmatch(r"\[(\w+)(?:\+(\d+))?\]", operands[1])
            number = self.parameters.index(match[1])
            read = f"std::memcpy(&x, (char*)arguments[{number}] + {match[2] or 0}, sizeof x);"
            return f"{{ {TYPES[kind]} x; {read} {self.put(operands[0], kind, 'x')} }}"
        access = "VOLATILE" if "volatile" in words or "relaxed" in words else "READ"
        space, address = self.space(words), self.address(operands[1])
        size, registers = _width(kind) // 8, _members(operands[0])
        parts = [
            self.put(r, kind, f"load<{TYPES[kind]}>({space}, {address} + {n * size}, {access})")
            for n, r in enumerate(registers)
        ]
        return self._several(address, size, parts)

    def do_st(self, words, operands):
        kind = words[-1]
        space, address = self.space(words), self.address(operands[0])
        size, registers = _width(kind) // 8, _members(operands[1])
        parts = [
            f"store<{TYPES[kind]}>({space}, {address} + {n * size}, {self.value(r, kind)});"
            for n, r in enumerate(registers)
        ]
        return self._several(address, size, parts)

    @staticmethod
    def _several(address, size, parts):
        check = f"aligned({address}, {size * len(parts)}); " if len(parts) > 1 else ""
        return check + " ".join(parts)

    def do_atom(self, words, operands, result=True):
        kind = TYPES[words[-1]]
        change = next(word for word in words[1:] if word in ("add", "max", "min"))
        after = {"add": "o + x", "max": "o > x ? o : x", "min": "o < x ? o : x"}[change]
        out, place, operand = operands if result else (None, *operands)
        call = (
            f"atomic<{kind}>({self.space(words)}, {self.address(place)}, "
            f"[=]({kind} o) {{ return ({kind})({after}); }})"
        )
        stored = self.put(out, words[-1], call) if out else f"{call};"
        return f"{{ {kind} x = {self.value(operand, words[-1])}; {stored} }}"

    def do_red(self, words, operands):
        return self.do_atom(words, operands, result=False)

    def do_cvta(self, words, operands):
        shift = (
            "" if "global" in words else " - SHARED_WINDOW" if "to" in words else " + SHARED_WINDOW"
        )
        return self.put(operands[0], words[-1], self.bits(operands[1]) + shift)

    def do_cp(self, words, operands):
        if words[2] == "commit_group":
            return "commit_copies();"
        if words[2] == "wait_group":
            return f"ptx::wait_for_copies({operands[0]});"
        assert words[2] == "cg"
        assert operands[2] == "16"
        to, source = self.address(operands[0]), self.address(operands[1])
        return f"ptx::copy_async((u32){to}, {source}, {self.value(operands[3], 'u32')});"

    # ---- control

    def do_bra(self, words, operands):
        return f"goto {self.label(operands[0])};"

    def do_ret(self, words, operands):
        return "return;"

    def do_bar(self, words, operands):
        assert words[1] == "sync"
        assert operands == ["0"]
        return f'wait_at_barrier("{self.name} {len(self.lines)}");'

    do_barrier = do_bar

    # ---- meetings

    def do_shfl(self, words, operands):
        mode = {"idx": "TO", "bfly": "XOR", "down": "DOWN", "up": "UP"}[words[2]]
        out, _, came = operands[0].partition("|")
        whole = "0" if mode == "UP" else "31"
        check = f'if ({self.value(operands[3], "u32")} != {whole}) fail("a shuffle in parts"); '
        mask, value = self.value(operands[4], "u32"), self.value(operands[1], "u32")
        call = (
            f'shuffle("shfl.{words[2]}", {mask}, {value}, {self.value(operands[2], "s32")}, {mode})'
        )
        valid = f" {came.strip()[1:]}_ = true;" if came else ""
        assert not came or mode in ("TO", "XOR")
        return check + self.put(out.strip(), "b32", call) + valid

    def do_vote(self, words, operands):
        assert words[2] == "ballot"
        call = f"ballot({self.value(operands[2], 'u32')}, {self.value(operands[1], 'pred')})"
        return self.put(operands[0], "b32", call)

    def do_ldmatrix(self, words, operands):
        registers = _members(operands[0])
        assert len(registers) == 4
        assert "trans" not in words
        stored = " ".join(f"{r[1:]}_ = f[{n}];" for n, r in enumerate(registers))
        return f"{{ u32 f[4]; ptx::load_fragments(f, (u32){self.address(operands[1])}); {stored} }}"

    def do_mma(self, words, operands):
        assert words[3:] == ["m16n8k16", "row", "col", "f32", "f16", "f16", "f32"]
        out, *inputs = (_members(group) for group in operands)
        a, b, c = (", ".join(f"(u32)({self.bits(r)})" for r in group) for group in inputs)
        stored = " ".join(f"{r[1:]}_ = c[{n}];" for n, r in enumerate(out))
        fragments = f"u32 c[4] = {{{c}}}, a[4] = {{{a}}}, b[2] = {{{b}}};"
        return f"{{ {fragments} multiply_add(c, a, b); {stored} }}"

    # ---- moves and conversions

    def do_mov(self, words, operands):
        kind, (out, operand) = words[-1], operands
        if operand.startswith("{"):
            parts = _members(operand)
            width = _width(kind) // len(parts)
            pieces = (
                f"(u64)(u{width})({self.bits(part)}) << {n * width}" for n, part in enumerate(parts)
            )
            return self.put(out, kind, " | ".join(pieces))
        if out.startswith("{"):
            parts = _members(out)
            width = _width(kind) // len(parts)
            return " ".join(
                f"{part[1:]}_ = (u{width})((u64){self.bits(operand)} >> {n * width});"
                for n, part in enumerate(parts)
                if part != "_"
            )
        return self.put(out, kind, self.value(operand, kind))

    def do_cvt(self, words, operands):
        to, source, flush = words[-2], words[-1], "ftz" in words
        value = self.value(operands[1], source, flush)
        if source == "f16":
            value = f"half_value((u16)({self.bits(operands[1])}))"
        if to == "f16":
            assert source == "f64"
            assert "rn" in words
            return self.put(operands[0], "b16", f"half_bits({value})")
        if to in ("f32", "f64"):
            mode = next((ROUNDINGS[word] for word in words if word in ROUNDINGS), None)
            if mode is not None:
                assert (to, source) == ("f32", "f64")
                value = f"float_rounding({mode}, {value})"
            return self.put(operands[0], to, value, flush)
        if source in ("f32", "f64"):
            whole = next(TO_INTEGER[word] for word in words if word in TO_INTEGER)
            return self.put(operands[0], to, f"to_integer<{TYPES[to]}>({whole}({value}))")
        return self.put(operands[0], to, value)

    def do_setp(self, words, operands):
        kind, comparison, flush = words[-1], words[1], "ftz" in words
        x, y = (self.value(operand, kind, flush) for operand in operands[1:3])
        unordered = f"std::isnan({x}) || std::isnan({y})"
        if comparison in ("nan", "num"):
            holds = unordered if comparison == "nan" else f"!({unordered})"
        elif kind in ("f32", "f64") and comparison.endswith("u"):
            holds = f"{unordered} || {x} {COMPARISONS[comparison[:2]]} {y}"
        elif kind in ("f32", "f64") and comparison == "ne":
            holds = f"{x} < {y} || {x} > {y}"
        else:
            holds = f"{x} {COMPARISONS[comparison]} {y}"
        assert words[2] == kind or words[2] == "ftz", "a setp with another predicate"
        return self.put(operands[0], "pred", holds)

    def do_selp(self, words, operands):
        kind = words[-1]
        x, y = (self.value(operand, kind) for operand in operands[1:3])
        return self.put(operands[0], kind, f"{self.bits(operands[3])} ? {x} : {y}")

    # ---- arithmetic

    def do_fma(self, words, operands):
        kind, flush = words[-1], "ftz" in words
        x, y, z = (self.value(operand, kind, flush) for operand in operands[1:])
        mode = next((ROUNDINGS[word] for word in words if word in ROUNDINGS), None)
        call = f"std::fma({x}, {y}, {z})"
        if mode is not None:
            assert kind == "f32"
            call = f"fma_rounding({mode}, {x}, {y}, {z})"
        return self.put(operands[0], kind, call, flush)

    def do_mul(self, words, operands, more=""):
        kind = words[-1]
        if kind in ("f32", "f64"):
            return self._float(words, operands, "*")
        wide, high, width = "wide" in words, "hi" in words, _width(kind)
        sign = "i" if kind.startswith("s") else "u"
        long = (
            f"{'' if sign == 'i' else 'unsigned '}__int128" if width == 64 else f"{sign}{2 * width}"
        )
        x, y = (self.value(operand, kind) for operand in operands[1:3])
        product = f"(({long}){x} * ({long}){y})" + (f" >> {width}" if high else "")
        to = f"{kind[0]}{2 * width}" if wide else kind
        added = f" + {self.value(operands[3], to)}" if more else ""
        return self.put(operands[0], to, f"({TYPES[to]})({product}){added}")

    def do_mad(self, words, operands):
        return self.do_mul(words, operands, more="+")

    def _float(self, words, operands, sign):
        kind, flush = words[-1], "ftz" in words
        x, y = (self.value(operand, kind, flush) for operand in operands[1:3])
        mode = next((ROUNDINGS[word] for word in words if word in ROUNDINGS), None)
        if mode is not None:
            name = {"+": "add", "-": "sub"}[sign]
            return self.put(operands[0], kind, f"{name}_rounding<{kind}>({mode}, {x}, {y})", flush)
        return self.put(operands[0], kind, f"{x} {sign} {y}", flush)

    def binary(self, words, operands):
        sign = {"add": "+", "sub": "-", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}
        kind = words[-1]
        if kind in ("f32", "f64"):
            return self._float(words, operands, sign[words[0]])
        wraps = words[0] in ("add", "sub")
        x, y = (
            self.value(operand, _unsigned(kind) if wraps else kind) for operand in operands[1:3]
        )
        return self.put(operands[0], kind, f"{x} {sign[words[0]]} {y}")

    def extreme(self, words, operands):
        kind, flush = words[-1], "ftz" in words
        x, y = (self.value(operand, kind, flush) for operand in operands[1:3])
        if kind in ("f32", "f64"):
            name = {"max": "maximum", "min": "minimum"}[words[0]]
            return self.put(operands[0], kind, f"{name}({x}, {y})", flush)
        return self.put(operands[0], kind, f"std::{words[0]}({x}, {y})")

    def shift(self, words, operands):
        name, kind = {"shl": "shift_left", "shr": "shift_right"}[words[0]], words[-1]
        x, by = self.value(operands[1], kind), self.value(operands[2], "u32")
        return self.put(operands[0], kind, f"{name}<{TYPES[kind]}>({x}, {by})")

    def unary(self, words, operands):
        kind, flush = words[-1], "ftz" in words
        x = self.value(operands[1], kind, flush)
        if words[0] == "not":
            return self.put(operands[0], kind, f"!{x}" if kind == "pred" else f"~{x}")
        if words[0] == "neg":
            real = kind in ("f32", "f64")
            return self.put(operands[0], kind, f"-{x}" if real else f"0 - {x}", flush)
        name = {"abs": "std::abs", "sqrt": "std::sqrt", "rcp": f"({kind})1 / "}[words[0]]
        assert (words[0] != "sqrt" and words[0] != "rcp") or words[1:] == ["rn", "f64"]
        return self.put(operands[0], kind, f"{name}({x})", flush)

    def count(self, words, operands):
        kind = words[-1]
        x, width = self.value(operands[1], kind), _width(kind)
        calls = {
            "popc": f"__builtin_popcountll({x})",
            "clz": f"{x} ? __builtin_clzll({x}) - {64 - width} : {width}",
            "brev": f"reverse_bits({x})",
            "bfind": f"find_shift({x})",
        }
        assert words[0] not in ("brev", "bfind") or width == 32
        assert words[0] != "bfind" or words[1] == "shiftamt"
        return self.put(operands[0], "u32", calls[words[0]])

    def do_bfi(self, words, operands):
        kind = words[-1]
        a, b = (self.value(operand, kind) for operand in operands[1:3])
        at, count = (self.value(operand, "u32") for operand in operands[3:])
        return self.put(operands[0], kind, f"insert_bits<{TYPES[kind]}>({a}, {b}, {at}, {count})")

    def do_bfe(self, words, operands):
        kind = words[-1]
        assert kind.startswith("u")
        at, count = (self.value(operand, "u32") for operand in operands[2:])
        value = self.value(operands[1], kind)
        return self.put(operands[0], kind, f"extract_bits<{TYPES[kind]}>({value}, {at}, {count})")

    def do_prmt(self, words, operands):
        return self.put(
            operands[0], "b32", f"permute({', '.join(self.value(o, 'u32') for o in operands[1:])})"
        )

    def do_lop3(self, words, operands):
        table = int(operands[4], 0)
        inputs = [self.value(operand, "u32") for operand in operands[1:4]]
        terms = []
        for row in range(8):
            if table >> row & 1:
                signs = ["" if row >> (2 - n) & 1 else "~" for n in range(3)]
                factors = (sign + x for sign, x in zip(signs, inputs, strict=True))
                terms.append(f"({' & '.join(factors)})")
        return self.put(operands[0], "b32", " | ".join(terms) or "0")


FAMILIES = (
    dict.fromkeys(("add", "sub", "div", "rem", "and", "or", "xor"), "binary")
    | dict.fromkeys(("max", "min"), "extreme")
    | dict.fromkeys(("shl", "shr"), "shift")
    | dict.fromkeys(("not", "neg", "abs", "sqrt", "rcp"), "unary")
    | dict.fromkeys(("popc", "clz", "brev", "bfind"), "count")
)
