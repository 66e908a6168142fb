package wasm

import (
	"encoding/binary"
	"strconv"
)

// globalExport is the start of the names under which a reactor's globals are exported.
const globalExport = "chorus.global."

// withGlobals returns a module that passed Check with its own globals exported, so
// that they can be put back between calls; they are numbered from 0. A module
// without any is returned as it is.
func withGlobals(module []byte) (changed []byte, globals int) {
	out := append(make([]byte, 0, len(module)+1<<10), module[:8]...)
	r := reader{rest: module[8:]}
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		body := r.bytes(r.u32())
		section := reader{rest: body}
		switch id {
		case sectionGlobal:
			globals = int(section.u32())
		case sectionExport:
			body = exportGlobals(&section, globals)
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	if r.err != nil || globals == 0 {
		return module, 0
	}
	return out, globals
}

// exportGlobals returns a section of exports with n more.
func exportGlobals(r *reader, n int) []byte {
	body := binary.AppendUvarint(nil, uint64(r.u32())+uint64(n))
	body = append(body, r.rest...)
	for i := range n {
		name := globalExport + strconv.Itoa(i)
		body = binary.AppendUvarint(body, uint64(len(name)))
		body = append(body, name...)
		body = append(body, externGlobal)
		body = binary.AppendUvarint(body, uint64(i))
	}
	return body
}
