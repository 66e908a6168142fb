package wasm

import (
	"bytes"
	"errors"
)

// MaxModule is the size of the largest module, in bytes.
const MaxModule = 64 << 20

const (
	pageSize    = 64 << 10
	elementSize = 8 // of a table, in the host's memory
	minGlobal   = 5 // bytes of a global: type, mutability, an instruction of two, end
	wasiModule  = "wasi_snapshot_preview1"
	hostModule  = "chorus" // the module of the host functions
	// What a module exports to be run.
	startExport  = "_start"      // of a command
	handleExport = "handle"      // of a reactor
	initExport   = "_initialize" // of a reactor, if it has to be readied
)

// The parts of the binary format that Check reads; section 5.5 of the core
// specification.
const (
	sectionImport = 2
	sectionTable  = 4
	sectionMemory = 5
	sectionGlobal = 6
	sectionExport = 7

	externFunc   = 0
	externGlobal = 3

	limitsHasMax = 1 // the only flag of limits that core modules have
)

var (
	magic        = []byte("\x00asm")
	coreVersion  = []byte{1, 0, 0, 0}
	errTruncated = errors.New("it ends in the middle of a section")
	errTrailing  = errors.New("a section holds more than it says")
)

// Check tells whether module looks like a command or a reactor of WASI preview 1,
// without compiling it: the header, what it imports and that it can be started. The
// error is an [Error] of [KindModule] that says what to do about it. A module
// that passes may still be refused by Run, which validates its code.
func Check(module []byte) error {
	_, err := inspect(module)
	return err
}

// inspect is Check, and returns what it found.
func inspect(module []byte) (found contents, err error) {
	switch {
	case len(module) > MaxModule:
		return found, failure(KindModule, "%d bytes; a module has at most %d", len(module), MaxModule)
	case bytes.HasPrefix(bytes.TrimLeft(module, " \t\r\n;"), []byte("(module")):
		return found, failure(KindModule, "this is WebAssembly as text; assemble it first, as with wat2wasm")
	case !bytes.HasPrefix(module, magic):
		return found, failure(KindModule, "it does not start as a WebAssembly module does; build one with GOOS=wasip1 GOARCH=wasm go build")
	case len(module) < 8:
		return found, failure(KindModule, "%v", errTruncated)
	case !bytes.Equal(module[4:8], coreVersion):
		return found, failure(KindModule, "this is a component or a later version; core modules of WASI preview 1 run here")
	}
	r := reader{rest: module[8:]}
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		section := reader{rest: r.bytes(r.u32())}
		if r.err != nil {
			break
		}
		switch id {
		case sectionImport:
			err = found.imports(&section)
		case sectionTable:
			err = found.limits(&section, "table", elementSize)
		case sectionMemory:
			err = found.limits(&section, "memory", pageSize)
		case sectionGlobal:
			found.globals(&section)
		case sectionExport:
			found.exports(&section)
		default:
			section.rest = nil // not looked at
		}
		if err != nil {
			return found, err
		}
		if r.err = section.err; r.err == nil && len(section.rest) > 0 {
			r.err = errTrailing
		}
	}
	switch {
	case r.err != nil:
		return found, failure(KindModule, "%v", r.err)
	case !found.start && !found.handle:
		return found, failure(KindModule, "it exports neither a function _start, as a command does, nor handle, as a reactor does; build a package main, or export handle")
	}
	return found, nil
}

// contents is what Check wants to know about a module.
type contents struct {
	start  bool  // it exports what a command has to
	handle bool  // it exports what a reactor has to
	memory int64 // what it needs to start: memories, and tables on the host's side
}

func (c *contents) imports(r *reader) error {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		from, name := string(r.bytes(r.u32())), string(r.bytes(r.u32()))
		kind := r.byte()
		if r.err != nil {
			return nil
		}
		if from != wasiModule && from != hostModule {
			return failure(KindModule, "it imports %.64q from %.64q; only functions of %s and %s are granted", name, from, wasiModule, hostModule)
		}
		if kind != externFunc {
			return failure(KindModule, "it imports %.64q, which is not a function", name)
		}
		r.u32() // type
	}
	return nil
}

// limits adds up what the tables or memories of a section hold at the start.
func (c *contents) limits(r *reader, what string, unit int64) error {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		if what == "table" {
			r.byte() // type of reference
		}
		flags := r.byte()
		if r.err == nil && flags&^limitsHasMax != 0 {
			return failure(KindModule, "it wants a shared or 64-bit %s, which is not granted", what)
		}
		c.memory = min(c.memory+int64(r.u32())*unit, 1<<60)
		if flags&limitsHasMax != 0 {
			r.u32()
		}
	}
	return nil
}

// globals only counts them: their values are expressions, which Run validates.
func (c *contents) globals(r *reader) {
	if n := r.u32(); r.err == nil && uint64(n)*minGlobal > uint64(len(r.rest)) {
		r.err = errTruncated
	}
	r.rest = nil
}

func (c *contents) exports(r *reader) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		name, kind := r.bytes(r.u32()), r.byte()
		r.u32() // index
		if r.err == nil && kind == externFunc {
			c.start = c.start || string(name) == startExport
			c.handle = c.handle || string(name) == handleExport
		}
	}
}

// reader takes values off a byte slice. The first error sticks, and every value
// after it is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) byte() byte {
	b := r.bytes(1)
	if r.err != nil {
		return 0
	}
	return b[0]
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.rest)) {
		r.err = errTruncated
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	var value uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		value |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if value > 1<<32-1 {
				break
			}
			return uint32(value)
		}
	}
	if r.err == nil {
		r.err = errors.New("it holds a number that is too large")
	}
	return 0
}
