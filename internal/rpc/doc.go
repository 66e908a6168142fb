// Package rpc carries calls over one long-lived stream: a libp2p stream, a
// Unix socket, or anything else that reads, writes, closes and has deadlines.
// Both ends of a connection may call and serve; many calls share the stream,
// and frames queued at the same time are written together.
//
// It owns the frame (frame.go says what it looks like), the hello by which both
// sides say who they are, the envelope of a request, the registry of handlers
// with the gate before them, deadlines, and the bounds of everything. It does
// not know what is called: the numbers and messages are package wire's, and the
// streams are opened by package p2p and by the control socket.
//
// # Who may call what from where
//
// All methods of Conn and Workers may be called from any goroutine. A Registry
// is filled before the first connection uses it. Handlers declared Inline run
// on the goroutine that reads the stream, one at a time and in order: they must
// not block, nor call Close. All other handlers run on the shared Workers, in
// any order. A Request is the handler's until it returns; Detach keeps the
// payload for longer.
//
// # Fairness
//
// All connections to one peer share a Budget. Who exceeds it is read more slowly. Requests that
// need a worker wait with those of the same peer, and peers take turns; a peer has at most
// MaxRunning handlers that compute at a time, and a few workers that no other can take. A handler
// that is about to wait for something says so (Request.Park), and does not count as running.
//
// # What callers can rely on
//
// A call ends: with its answer, at its deadline (20 ms late at worst), with its
// context, or at once when the connection is lost. It was carried out at most
// once, and whether it was is unknown unless it was answered. Casts arrive in
// the order in which they were sent, or not at all. What exceeds a bound is
// refused with a named error at once; nothing queues without end. A peer that
// takes no bytes for WriteTimeout loses its connection, as does one that sends
// what is no frame.
//
//	registry := rpc.NewRegistry()
//	registry.Handle(1, rpc.Spec{Name: "echo", Role: rpc.RoleMember, Inline: true},
//		func(_ context.Context, req *rpc.Request) ([]byte, error) { return req.Payload, nil })
//
//	conn := rpc.NewConn(stream, rpc.Config{Registry: registry, Workers: workers, Admit: admit})
//	defer conn.Close()
//	reply, err := conn.Call(ctx, rpc.Header{Method: 1}, []byte("hello"))
//	if errors.Is(err, rpc.ErrBusy) {
//		// here or there, too much is under way
//	}
package rpc
