package wasm

import "encoding/binary"

// Modules for tests, put together byte by byte. All have the same frame: they
// import fd_read, fd_write and proc_exit, and export a memory and _start, whose
// body is what differs.

// Indexes of the functions of such a module.
const (
	callRead  = 0 // fd_read(fd, iovs, n, count *i32) errno
	callWrite = 1 // fd_write, the same
	callExit  = 2 // proc_exit(code)
	callStart = 3 // itself
)

// Types of such a module.
const (
	typeReadWrite = 0
	typeExit      = 1
	typeStart     = 2
)

func uleb(n uint32) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func sleb(n int32) []byte {
	var b []byte
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func sized(b []byte) []byte            { return append(uleb(uint32(len(b))), b...) }
func section(id byte, b []byte) []byte { return append([]byte{id}, sized(b)...) }
func vector(items ...[]byte) []byte {
	return append(uleb(uint32(len(items))), join(items...)...)
}
func name(s string) []byte { return sized([]byte(s)) }

// Instructions.
func i32(n int32) []byte { return append([]byte{0x41}, sleb(n)...) }
func call(f byte) []byte { return []byte{0x10, f} }
func store() []byte      { return []byte{0x36, 2, 0} } // i32.store: [address value]
func load() []byte       { return []byte{0x28, 2, 0} } // i32.load: [address]
func memoryGrow() []byte { return []byte{0x40, 0} }    // [pages] -> old or -1
func loop(body []byte) []byte {
	return join([]byte{0x03, 0x40}, body, []byte{0x0c, 0, 0x0b}) // for ever
}

var (
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
)

const (
	iovec   = 0 // address of the one iovec: address, length
	counter = 8 // where fd_read and fd_write put their count
	buffer  = 1024
)

// setIovec points the iovec at n bytes of the buffer.
func setIovec(n int32) []byte {
	return join(i32(iovec), i32(buffer), store(), i32(iovec+4), i32(n), store())
}

func transfer(function byte, fd int32) []byte {
	return join(i32(fd), i32(iovec), i32(1), i32(counter), call(function), drop)
}

// command puts a module together whose _start has that body.
func command(minPages uint32, body []byte) []byte {
	return commandWith(vector(), minPages, body, nil)
}

// commandWith adds functions of type typeStart after _start, and more sections.
func commandWith(tables []byte, minPages uint32, body []byte, data []byte) []byte {
	wasi := func(function string, typ byte) []byte {
		return join(name(wasiModule), name(function), []byte{0x00, typ})
	}
	const i32Type = 0x7f
	parts := [][]byte{
		magic, coreVersion,
		section(1, vector(
			[]byte{0x60, 4, i32Type, i32Type, i32Type, i32Type, 1, i32Type},
			[]byte{0x60, 1, i32Type, 0},
			[]byte{0x60, 0, 0},
		)),
		section(2, vector(wasi("fd_read", typeReadWrite), wasi("fd_write", typeReadWrite), wasi("proc_exit", typeExit))),
		section(3, vector([]byte{typeStart})),
	}
	if len(tables) > 1 {
		parts = append(parts, section(4, tables))
	}
	parts = append(parts,
		section(5, vector(append([]byte{0}, uleb(minPages)...))),
		section(7, vector(
			join(name("memory"), []byte{0x02, 0}),
			join(name("_start"), []byte{0x00, callStart}),
		)),
		section(10, vector(sized(join([]byte{0}, body, []byte{0x0b})))),
	)
	if data != nil {
		parts = append(parts, section(11, vector(join([]byte{0}, i32(buffer), []byte{0x0b}, sized(data)))))
	}
	return join(parts...)
}

var (
	// moduleEcho copies its input to its output, in pieces of 32 KiB.
	moduleEcho = command(1, loop(join(
		setIovec(32<<10),
		transfer(callRead, 0),
		// if count == 0 { exit(0) }
		i32(counter), load(), []byte{0x45, 0x04, 0x40}, i32(0), call(callExit), []byte{0x0b},
		i32(iovec+4), i32(counter), load(), store(),
		transfer(callWrite, 1),
	)))
	moduleNothing   = command(1, nil)
	moduleTrap      = command(1, unreachable)
	moduleSpin      = command(1, loop(nil))
	moduleRecurse   = command(1, join(call(callStart), call(callStart)))
	moduleExit3     = command(1, join(i32(3), call(callExit)))
	moduleHuge      = command(65536, nil)
	moduleGrow      = command(1, join(i32(65535), memoryGrow(), i32(-1), []byte{0x46, 0x04, 0x40}, unreachable, []byte{0x0b}))
	moduleGrowTouch = command(1, loop(join( // one page after the other, touching each
		i32(1), memoryGrow(), i32(-1), []byte{0x46, 0x04, 0x40}, unreachable, []byte{0x0b},
		[]byte{0x3f, 0}, i32(16), []byte{0x74}, i32(8), []byte{0x6b}, i32(1), store(),
	)))
	moduleFloodOut = command(1, join(setIovec(32<<10), loop(transfer(callWrite, 1))))
	moduleFloodErr = command(1, join(setIovec(32<<10), loop(transfer(callWrite, 2))))
	// moduleSpeak writes "working\n" to its log and loops.
	moduleSpeak = commandWith(vector(), 1, join(setIovec(8), transfer(callWrite, 2), loop(nil)), []byte("working\n"))
	// moduleTable asks for a table of 2^27 elements, a gigabyte of the host's memory.
	moduleTable = commandWith(vector(append([]byte{0x70, 0}, uleb(1<<27)...)), 1, nil, nil)
	// moduleTableGrow asks for as much, a little at a time.
	moduleTableGrow = commandWith(vector(append([]byte{0x70, 0}, uleb(1)...)), 1,
		loop(join([]byte{0xd0, 0x70}, i32(1<<20), []byte{0xfc, 0x0f, 0}, drop)), nil)
	// moduleStranger imports what nobody grants.
	moduleStranger = join(magic, coreVersion,
		section(1, vector([]byte{0x60, 0, 0})),
		section(2, vector(join(name("env"), name("launch"), []byte{0, 0}))),
		section(3, vector([]byte{0})),
		section(7, vector(join(name("_start"), []byte{0, 1}))),
		section(10, vector(sized([]byte{0, 0x0b}))),
	)
	// moduleUnknown imports a WASI function that does not exist.
	moduleUnknown = join(magic, coreVersion,
		section(1, vector([]byte{0x60, 0, 0})),
		section(2, vector(join(name(wasiModule), name("fd_teleport"), []byte{0, 0}))),
		section(3, vector([]byte{0})),
		section(7, vector(join(name("_start"), []byte{0, 1}))),
		section(10, vector(sized([]byte{0, 0x0b}))),
	)
	// moduleInvalid has a body that leaves a value on the stack.
	moduleInvalid = command(1, i32(7))
)
