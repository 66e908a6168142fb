package wasmtest

import "encoding/binary"

// Module is what a module consists of. It has one memory, exported as "memory".
type Module struct {
	Imports []Import // functions 0, 1, ...
	Funcs   []Func   // the functions after them
	// Tables holds the sizes of tables of functions.
	Tables []uint32
	Pages  uint32 // of memory, of 64 KiB, at the start; 0 means one
	// Globals is how many variables there are, all 0 at the start.
	Globals int
	// Start makes the last function the one that runs when the module is made.
	Start bool
	Data  []byte // lies at Buffer
}

// Import is a function that a module imports. All parameters and results are i32.
type Import struct {
	From, Name      string
	Params, Results int
}

// Func is a function of a module.
type Func struct {
	Export          string // its name outside; "": none
	Params, Results int
	Body            []byte
}

// The sections of the binary format.
const (
	sectionType   = 1
	sectionImport = 2
	sectionFunc   = 3
	sectionTable  = 4
	sectionMemory = 5
	sectionGlobal = 6
	sectionExport = 7
	sectionStart  = 8
	sectionCode   = 10
	sectionData   = 11
)

const (
	typeI32     = 0x7f
	typeFunc    = 0x60
	typeFuncRef = 0x70
	end         = 0x0b
)

// Assemble returns the module in the binary format.
func (m Module) Assemble() []byte {
	var types, imports, funcs, tables, globals, exports, codes [][]byte
	addType := func(params, results int) []byte {
		types = append(types, Join([]byte{typeFunc}, repeat(params), repeat(results)))
		return uleb(len(types) - 1)
	}
	for _, i := range m.Imports {
		imports = append(imports, Join(name(i.From), name(i.Name), []byte{0}, addType(i.Params, i.Results)))
	}
	exports = append(exports, Join(name("memory"), []byte{2, 0}))
	for n, f := range m.Funcs {
		funcs = append(funcs, addType(f.Params, f.Results))
		codes = append(codes, sized(Join([]byte{0}, f.Body, []byte{end})))
		if f.Export != "" {
			exports = append(exports, Join(name(f.Export), []byte{0}, uleb(len(m.Imports)+n)))
		}
	}
	for _, size := range m.Tables {
		tables = append(tables, Join([]byte{typeFuncRef, 0}, uleb(int(size))))
	}
	for range m.Globals {
		globals = append(globals, Join([]byte{typeI32, 1}, I32(0), []byte{end}))
	}
	b := Join([]byte("\x00asm"), []byte{1, 0, 0, 0},
		section(sectionType, types), section(sectionImport, imports), section(sectionFunc, funcs),
		section(sectionTable, tables), section(sectionMemory, [][]byte{append([]byte{0}, uleb(int(max(m.Pages, 1)))...)}),
		section(sectionGlobal, globals), section(sectionExport, exports))
	if m.Start {
		b = Join(b, []byte{sectionStart}, sized(uleb(len(m.Imports)+len(m.Funcs)-1)))
	}
	b = Join(b, section(sectionCode, codes))
	if m.Data != nil {
		b = Join(b, section(sectionData, [][]byte{Join([]byte{0}, I32(Buffer), []byte{end}, sized(m.Data))}))
	}
	return b
}

// section returns a section that is a vector of items; none without any.
func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return append([]byte{id}, sized(Join(uleb(len(items)), Join(items...)))...)
}

func repeat(n int) []byte {
	b := uleb(n)
	for range n {
		b = append(b, typeI32)
	}
	return b
}

func name(s string) []byte  { return sized([]byte(s)) }
func sized(b []byte) []byte { return append(uleb(len(b)), b...) }
func uleb(n int) []byte     { return binary.AppendUvarint(nil, uint64(n)) }

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

// Join returns instructions one after the other.
func Join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
