package wasm

import (
	"encoding/binary"
	"strconv"
)

const (
	// globalExport is the start of the names under which a reactor's globals are exported.
	globalExport = "chorus.global."
	// maxTableGrowth is by how many elements all tables of a module may grow. They
	// are the host's memory, which no limit of the module's counts; what they hold at
	// the start is counted.
	maxTableGrowth = 1 << 20
)

// rewrite returns a module that passed Check, with a bound on its tables. If it is a
// reactor its own globals are exported too, so that they can be put back between
// calls; they are numbered from 0.
func rewrite(module []byte, reactor bool) (changed []byte, globals int, err error) {
	out := append(make([]byte, 0, len(module)+1<<10), module[:8]...)
	r := reader{rest: module[8:]}
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		body := r.bytes(r.u32())
		section := reader{rest: body}
		switch {
		case id == sectionTable:
			body = boundTables(&section)
		case id == sectionGlobal && reactor:
			globals = int(section.u32())
		case id == sectionExport && globals > 0:
			body = exportGlobals(&section, globals)
		}
		if section.err != nil {
			r.err = section.err
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	if r.err != nil {
		return nil, 0, failure(KindModule, "%v", r.err)
	}
	return out, globals, nil
}

// boundTables returns a section of tables with a limit on each.
func boundTables(r *reader) []byte {
	n := r.u32()
	body := binary.AppendUvarint(nil, uint64(n))
	for i := uint32(0); i < n && r.err == nil; i++ {
		body = append(body, r.byte()) // type of reference
		flags, least := r.byte(), uint64(r.u32())
		most := least + maxTableGrowth/uint64(n)
		if flags&limitsHasMax != 0 {
			most = min(most, uint64(r.u32()))
		}
		body = append(body, flags|limitsHasMax)
		body = binary.AppendUvarint(body, least)
		body = binary.AppendUvarint(body, most)
	}
	return append(body, r.rest...)
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
