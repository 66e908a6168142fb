// Package history keeps what callers of registers were told, and tells whether one
// register could have told them that: whether their calls are linearizable
// (Herlihy and Wing 1990), as porcupine decides it.
//
//	var h history.Registers
//	h.Swap(ctx, node, "leader", 0, []byte("anna"))
//	h.Read(ctx, node, "leader")
//	err := h.Check(10 * time.Second)
//
// A swap whose outcome was not told may have happened at any time after it was
// called, or never. Callers must not write one value twice.
//
// Methods may be called from any goroutine. Tests of package cluster and of the
// command line use it.
package history
