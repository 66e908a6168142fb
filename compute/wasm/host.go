package wasm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero/api"
)

// hostFunction is a function that modules may import from "chorus". All values are
// i32; doc.go says what each function does.
type hostFunction struct {
	name            string
	params, results int
	serve           func(*hostCall)
}

var hostFunctions = []hostFunction{
	{"input", 2, 1, func(c *hostCall) { c.copyOut(c.guest.input, 0) }},
	{"output", 2, 0, func(c *hostCall) { _, _ = c.guest.stdout.Write(c.bytes(0)) }}, // ends the run if it fails
	{"log", 2, 0, func(c *hostCall) { _, _ = c.guest.log.Write(c.bytes(0)) }},       // never fails
	{"sha256", 3, 0, hostSHA256},
	{"parts", 0, 1, func(c *hostCall) { c.give(len(c.guest.parts)) }},
	{"part", 3, 1, hostPart},
	{"spawn", 2, 1, hostSpawn},
	{"get", 2, 1, hostGet},
	{"put", 4, 1, hostPut},
	{"answer", 2, 1, func(c *hostCall) { c.copyOut(c.guest.answer, 0) }},
}

// Results of get and put below 0.
const (
	codeNotFound = -1
	codeRefused  = -2
	codeFailed   = -3
)

// hostCall is one call of a host function.
type hostCall struct {
	sandbox *sandbox
	guest   *guest
	memory  api.Memory
	name    string
	stack   []uint64 // the arguments, and then the results
}

func (c *hostCall) arg(i int) uint32 { return uint32(c.stack[i]) }

func (c *hostCall) give(n int) { c.stack[0] = api.EncodeI32(int32(n)) }

// bytes returns the memory that arguments i and i+1 name. It ends the run if
// there is no such memory.
func (c *hostCall) bytes(i int) []byte {
	at, n := c.arg(i), c.arg(i+1)
	if c.memory != nil {
		if b, ok := c.memory.Read(at, n); ok {
			return b
		}
	}
	c.guest.fail(KindTrap, "it called %s with %d bytes at %d, which its memory does not have", c.name, n, at)
	return nil
}

// copyOut copies what fits of b to the memory that arguments i and i+1 name, and
// gives the length of the whole.
func (c *hostCall) copyOut(b []byte, i int) {
	copy(c.bytes(i), b)
	c.give(len(b))
}

func hostSHA256(c *hostCall) {
	sum := sha256.Sum256(c.bytes(0))
	if c.memory == nil || !c.memory.Write(c.arg(2), sum[:]) {
		c.guest.fail(KindTrap, "it called sha256 with a result at %d, which its memory does not have", c.arg(2))
	}
}

func hostPart(c *hostCall) {
	i := c.arg(0)
	if int64(i) >= int64(len(c.guest.parts)) {
		c.guest.fail(KindTrap, "it called part %d of %d", i, len(c.guest.parts))
	}
	c.copyOut(c.guest.parts[i], 1)
}

func hostSpawn(c *hostCall) {
	g := c.guest
	input := c.bytes(0)
	switch {
	case len(g.parts) > 0:
		g.fail(KindSpawn, "a run that joins parts cannot spawn more")
	case len(g.spawned) == MaxParts:
		g.fail(KindSpawn, "it spawned more than %d parts", MaxParts)
	case sizeOf(g.spawned)+len(input) > MaxPartBytes:
		g.fail(KindSpawn, "it spawned parts of more than %d bytes", MaxPartBytes)
	}
	g.spawned = append(g.spawned, bytes.Clone(input))
	c.give(len(g.spawned) - 1)
}

func hostGet(c *hostCall) {
	if c.question(askGet, c.bytes(0), nil) {
		c.give(len(c.guest.answer))
	}
}

func hostPut(c *hostCall) {
	if c.question(askPut, c.bytes(0), c.bytes(2)) {
		c.give(0)
	}
}

// question has the parent serve what only it can, and reports whether it did. If
// not, the result is a code, and the answer says why.
func (c *hostCall) question(ask ask, key, value []byte) bool {
	g := c.guest
	switch {
	case len(key) > MaxKey:
		g.answer = fmt.Appendf(nil, "a key of %d bytes; at most %d are allowed", len(key), MaxKey)
		c.give(codeFailed)
		return false
	case len(value) > MaxValue:
		g.answer = fmt.Appendf(nil, "key %q: a value of %d bytes; at most %d are allowed", key, len(value), MaxValue)
		c.give(codeFailed)
		return false
	}
	reply, body := c.sandbox.askParent(&askFrame{seq: c.sandbox.seq, ask: ask, key: string(key)}, value)
	g.answer = body
	switch reply.verdict {
	case verdictOK:
		return true
	case verdictNotFound:
		c.give(codeNotFound)
	case verdictRefused:
		c.give(codeRefused)
	default:
		c.give(codeFailed)
	}
	return false
}

// askParent waits for the parent's answer. Without one the process ends.
func (s *sandbox) askParent(question *askFrame, value []byte) (reply replyFrame, body []byte) {
	if err := s.answer(frameAsk, question.encode(), value); err != nil {
		os.Exit(1)
	}
	r := <-s.requests
	body, err := reply.decode(r.body)
	if r.kind != frameReply || err != nil || reply.seq != s.seq {
		fmt.Fprintln(os.Stderr, "sandbox: unexpected answer")
		os.Exit(1)
	}
	return reply, body
}
