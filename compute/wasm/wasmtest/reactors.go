package wasmtest

const host = "chorus"

// hostTypes says how many parameters and results the host functions have.
var hostTypes = map[string][2]int{
	"input": {2, 1}, "output": {2, 0}, "log": {2, 0}, "sha256": {3, 0}, "parts": {0, 1}, "part": {3, 1},
	"spawn": {2, 1}, "get": {2, 1}, "put": {4, 1}, "answer": {2, 1},
}

// Host imports host functions by their names.
func Host(names ...string) []Import {
	list := make([]Import, len(names))
	for i, n := range names {
		list[i] = Import{host, n, hostTypes[n][0], hostTypes[n][1]}
	}
	return list
}

// Reactor is a module whose handle, which returns 0, has that body. The host
// functions of those names are functions 0, 1, ...
func Reactor(body []byte, imports ...string) Module {
	return Module{Imports: Host(imports...), Funcs: []Func{{Export: "handle", Results: 1, Body: Join(body, I32(0))}}}
}

// room is how much of an input the reactors here handle.
const room = 32 << 10

// Reactors.
var (
	// EchoReactor puts out its input, of up to 32 KiB.
	EchoReactor = Reactor(Join(I32(Buffer), I32(Buffer), I32(room), Call(0), Call(1)), "input", "output").Assemble()
	// Counter changes a variable, a word of its memory and the size of that, and puts
	// out all three as they were before, as 32-bit numbers.
	Counter = with(Reactor(Join(
		I32(8), Global(0), Store, I32(12), I32(Buffer), Load, Store, I32(16), MemorySize, Store,
		Global(0), I32(1), Add, SetGlobal(0),
		I32(Buffer), I32(Buffer), Load, I32(1), Add, Store,
		I32(3), MemoryGrow, Drop,
		MemorySize, I32(16), Shl, I32(8), Sub, I32(1), Store, // what came on top is used too
		I32(8), I32(12), Call(0),
	), "output"), func(m *Module) { m.Globals = 1 })
	// Ready puts out what its _initialize left: the word 7.
	Ready = with(Reactor(Join(I32(Buffer), I32(4), Call(0)), "output"), func(m *Module) {
		m.Funcs = append(m.Funcs, Func{Export: "_initialize", Body: Join(I32(Buffer), I32(7), Store)})
	})
	// Random puts out 8 random bytes.
	Random = Module{
		Imports: []Import{{wasi, "random_get", 2, 1}, {host, "output", 2, 0}},
		Funcs: []Func{{Export: "handle", Results: 1, Body: Join(
			I32(Buffer), I32(8), Call(0), Drop, I32(Buffer), I32(8), Call(1), I32(0))}},
	}.Assemble()
	// Refuse returns the code 5.
	Refuse = Module{Funcs: []Func{{Export: "handle", Results: 1, Body: I32(5)}}}.Assemble()
	// Sum puts out the SHA-256 of its input.
	Sum = Reactor(Join(I32(Buffer), I32(Buffer), I32(room), Call(0), I32(0), Call(1), I32(0), I32(32), Call(2)),
		"input", "sha256", "output").Assemble()
	// Halves spawns a part of each half of its input, while that has more than one
	// byte. It joins by putting out what the first two parts did, the other way round,
	// so that all together reverse their input.
	Halves = Reactor(Join(
		Call(2), If(
			I32(Buffer), I32(1), I32(Buffer), I32(room), Call(3), Call(1),
			I32(Buffer), I32(0), I32(Buffer), I32(room), Call(3), Call(1),
			I32(0), Return),
		I32(8), I32(Buffer), I32(room), Call(0), Store, // the length
		I32(8), Load, I32(2), lessThan, If(I32(Buffer), I32(8), Load, Call(1), I32(0), Return),
		I32(12), I32(8), Load, I32(1), shiftRight, Store, // half of it
		I32(Buffer), I32(12), Load, Call(4), Drop,
		I32(Buffer), I32(12), Load, Add, I32(8), Load, I32(12), Load, Sub, Call(4), Drop,
	), "input", "output", "parts", "part", "spawn").Assemble()
	// Fetch puts out the value of the key that is its input, and Keep sets that key to
	// "kept". What is refused they log, and return the code.
	Fetch = storeModule(Join(I32(Buffer), I32(Buffer), I32(room), Call(0), Call(2))).Assemble()
	Keep  = with(storeModule(Join(I32(Buffer+4), I32(Buffer+4), I32(room), Call(0), I32(Buffer), I32(4), Call(3))),
		func(m *Module) { m.Data = []byte("kept") })
)

// FillTables lets each of n tables grow as far as it may, and puts out by how many
// elements they did together.
func FillTables(n int) []byte {
	const step = 1 << 10
	var body []byte
	for i := range n {
		// block { loop { if table.grow(step) == -1 { leave the block }; sum += step } }
		body = Join(body, []byte{0x02, 0x40}, Loop(
			NullFunc, I32(step), GrowTable(i), I32(-1), Equal, []byte{0x0d, 1},
			Global(0), I32(step), Add, SetGlobal(0)), []byte{end})
	}
	m := Reactor(Join(body, I32(Buffer), Global(0), Store, I32(Buffer), I32(4), Call(0)), "output")
	m.Globals = 1
	for range n {
		m.Tables = append(m.Tables, 1)
	}
	return m.Assemble()
}

var (
	lessThan   = []byte{0x48}
	shiftRight = []byte{0x76}
)

// storeModule asks a question of the store, which leaves its result on the stack, and
// puts out the answer. If the result is below 0 it logs the answer and returns the result.
func storeModule(question []byte) Module {
	const result, size = 8, 12
	m := Reactor(nil, "input", "output", "get", "put", "answer", "log")
	m.Funcs[0].Body = Join(
		I32(result), question, Store,
		I32(size), I32(Buffer), I32(room), Call(4), Store,
		I32(result), Load, I32(0), lessThan, If(
			I32(Buffer), I32(size), Load, Call(5),
			I32(result), Load, Return),
		I32(Buffer), I32(size), Load, Call(1), I32(0))
	return m
}

// Hostile reactors.
var (
	SpinReactor  = Reactor(Loop()).Assemble()
	SpinWhenMade = with(Reactor(nil), func(m *Module) {
		m.Funcs = append(m.Funcs, Func{Export: "_initialize", Body: Loop()})
	})
	FloodSpawn     = Reactor(Loop(I32(Buffer), I32(16), Call(0), Drop), "spawn").Assemble()
	FloodStore     = with(Reactor(Loop(I32(Buffer), I32(4), I32(Buffer), I32(room), Call(0), Drop), "put"), func(m *Module) { m.Data = []byte("key.") })
	FloodLogByCall = Reactor(Loop(I32(Buffer), I32(room), Call(0)), "log").Assemble()
	// OutOfBounds hands the host memory that it does not have.
	OutOfBounds = Reactor(Join(I32(-16), I32(32), Call(0)), "output").Assemble()
)
