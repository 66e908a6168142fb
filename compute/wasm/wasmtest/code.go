package wasmtest

// Buffer is where the data of a module lies, and where there is room.
const Buffer = 1024

// Instructions, with what they take off the stack and leave there.
var (
	Drop        = []byte{0x1a}    // [value]
	Unreachable = []byte{0x00}    // ends the run
	Return      = []byte{0x0f}    // [result]
	MemorySize  = []byte{0x3f, 0} // -> pages
	MemoryGrow  = []byte{0x40, 0} // [pages] -> pages before, or -1
	Load        = []byte{0x28, 2, 0}
	Store       = []byte{0x36, 2, 0} // [address value]
	Add         = []byte{0x6a}       // [a b] -> a+b
	Sub         = []byte{0x6b}
	Shl         = []byte{0x74}
	Equal       = []byte{0x46}       // [a b] -> 0 or 1
	IsZero      = []byte{0x45}       // [a] -> 0 or 1
	NullFunc    = []byte{0xd0, 0x70} // -> null
)

// I32 puts a number on the stack.
func I32(n int32) []byte { return append([]byte{0x41}, sleb(n)...) }

// Call calls a function by its number: imports come first.
func Call(f int) []byte { return append([]byte{0x10}, uleb(f)...) }

// GrowTable makes a table larger: [element n] -> elements before, or -1.
func GrowTable(n int) []byte { return append([]byte{0xfc, 0x0f}, uleb(n)...) }

// Global puts a variable on the stack.
func Global(n int) []byte { return append([]byte{0x23}, uleb(n)...) }

// SetGlobal takes a variable's new value off the stack.
func SetGlobal(n int) []byte { return append([]byte{0x24}, uleb(n)...) }

// Loop runs a body for ever.
func Loop(body ...[]byte) []byte {
	return Join([]byte{0x03, 0x40}, Join(body...), []byte{0x0c, 0, end})
}

// If runs a body if what it takes off the stack is not 0.
func If(body ...[]byte) []byte { return Join([]byte{0x04, 0x40}, Join(body...), []byte{end}) }
