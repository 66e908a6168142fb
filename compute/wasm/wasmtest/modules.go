package wasmtest

const wasi = "wasi_snapshot_preview1"

// Numbers of the functions that every command imports, and of the command itself.
const (
	fdRead   = 0
	fdWrite  = 1
	procExit = 2
	start    = 3
)

var wasiImports = []Import{
	{wasi, "fd_read", 4, 1}, {wasi, "fd_write", 4, 1}, {wasi, "proc_exit", 1, 0},
}

// Command is a module whose _start has that body, with fd_read, fd_write and
// proc_exit as functions 0 to 2 and itself as 3.
func Command(body ...[]byte) Module {
	return Module{Imports: wasiImports, Funcs: []Func{{Export: "_start", Body: Join(body...)}}}
}

const (
	iovec   = 0 // address of the one iovec: address, length
	counter = 8 // where fd_read and fd_write put their count
)

// setIovec points the iovec at n bytes of the buffer.
func setIovec(n int32) []byte {
	return Join(I32(iovec), I32(Buffer), Store, I32(iovec+4), I32(n), Store)
}

func transfer(function int, fd int32) []byte {
	return Join(I32(fd), I32(iovec), I32(1), I32(counter), Call(function), Drop)
}

func failIf(condition []byte) []byte { return Join(condition, If(Unreachable)) }

// assemble puts a command together.
func assemble(body ...[]byte) []byte { return Command(body...).Assemble() }

// Commands that behave.
var (
	// Echo copies its input to its output, in pieces of 32 KiB.
	Echo = assemble(Loop(
		setIovec(32<<10),
		transfer(fdRead, 0),
		I32(counter), Load, IsZero, If(I32(0), Call(procExit)),
		I32(iovec+4), I32(counter), Load, Store,
		transfer(fdWrite, 1),
	))
	Nothing = assemble()
	Exit3   = assemble(I32(3), Call(procExit))
)

// Pages returns a command that does nothing in n pages of memory.
func Pages(n uint32) []byte {
	m := Command()
	m.Pages = n
	return m.Assemble()
}

// Hostile modules: nothing ends one but a limit, if it is not said otherwise.
var (
	Trap    = assemble(Unreachable) // ends
	Spin    = assemble(Loop())
	Recurse = assemble(Call(start), Call(start)) // ends, when the stack does
	// Grow asks for 4 GiB at once, and traps when it does not get them. GrowTouch
	// grows by one page after the other, and writes to each.
	Grow      = assemble(failIf(Join(I32(65535), MemoryGrow, I32(-1), Equal)))
	GrowTouch = assemble(Loop(
		failIf(Join(I32(1), MemoryGrow, I32(-1), Equal)),
		MemorySize, I32(16), Shl, I32(8), Sub, I32(1), Store,
	))
	Huge     = Pages(65536)
	FloodOut = assemble(setIovec(32<<10), Loop(transfer(fdWrite, 1)))
	FloodLog = assemble(setIovec(32<<10), Loop(transfer(fdWrite, 2)))
	// Speak writes "working\n" to its log and loops.
	Speak = with(Command(setIovec(8), transfer(fdWrite, 2), Loop()), func(m *Module) { m.Data = []byte("working\n") })
	// Table asks for a table of 2^27 elements, a gigabyte of the host's memory.
	// TableGrow asks for a larger one again and again.
	Table     = with(Command(), func(m *Module) { m.Tables = []uint32{1 << 27} })
	TableGrow = with(Command(Loop(NullFunc, I32(1<<20), GrowTable(0), Drop)), func(m *Module) { m.Tables = []uint32{1} })
	// SpinAtStart loops before it can be called.
	SpinAtStart = with(Command(), func(m *Module) { m.Funcs, m.Start = append(m.Funcs, Func{Body: Loop()}), true })
)

// Modules that cannot run.
var (
	// Stranger imports what nobody grants.
	Stranger = importing(Import{"env", "launch", 0, 0})
	// Unknown and Misspelled import functions that WASI and the host do not have.
	Unknown    = importing(Import{wasi, "fd_teleport", 0, 0})
	Misspelled = importing(Import{host, "imput", 2, 1})
	// Mistyped imports and MistypedHandle exports a function of another type than
	// it has to be.
	Mistyped       = importing(Import{host, "input", 3, 1})
	MistypedHandle = Module{Funcs: []Func{{Export: "handle", Params: 1}}}.Assemble()
	MistypedStart  = Module{Funcs: []Func{{Export: "_start", Results: 1, Body: I32(0)}}}.Assemble()
	// Invalid has a body that leaves a value on the stack.
	Invalid = assemble(I32(7))
	// Library exports nothing that could be run.
	Library = Module{Funcs: []Func{{Export: "sum", Params: 2, Results: 1, Body: I32(0)}}}.Assemble()
)

func importing(i Import) []byte {
	return Module{Imports: []Import{i}, Funcs: []Func{{Export: "_start"}}}.Assemble()
}

func with(m Module, change func(*Module)) []byte {
	change(&m)
	return m.Assemble()
}
