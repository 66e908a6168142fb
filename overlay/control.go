package overlay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	// Handlers that run at once on behalf of the control socket, and requests
	// that wait for one.
	controlWorkers = 1024
	controlQueue   = 4096
	// maxPutRequest is more than a value may have, so that the node, which can
	// explain it, is the one to refuse a larger one.
	maxPutRequest = 2 << 20
	// waitAtOnce is how long a wait for a job lasts before the client asks again.
	waitAtOnce = time.Minute
)

// control serves a peer's Unix socket: the command line and other programs of
// the peer's owner. It owns a goroutine that accepts, and the connections.
type control struct {
	node     *Node
	log      *slog.Logger
	socket   *controlSocket
	registry *rpc.Registry
	watches  watches
	workers  *rpc.Workers
	wg       sync.WaitGroup

	closing context.Context // ends when close is called; handlers end with it
	cancel  context.CancelFunc

	mu    sync.Mutex
	conns map[*rpc.Conn]struct{} // nil once closed
}

// serveControl serves node on the socket in home, which the caller has locked,
// until close or kill.
func serveControl(home string, node *Node, log *slog.Logger) (*control, error) {
	socket, err := listenControl(home)
	if err != nil {
		return nil, err
	}
	c := &control{
		node:     node,
		log:      log,
		socket:   socket,
		registry: rpc.NewRegistry(),
		workers:  rpc.NewWorkers(controlWorkers, controlQueue),
		conns:    make(map[*rpc.Conn]struct{}),
	}
	c.closing, c.cancel = context.WithCancel(context.Background())
	c.register()
	c.wg.Go(c.accept)
	return c, nil
}

func (c *control) accept() {
	for {
		stream, err := c.socket.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors, most likely: others will be closed.
			c.log.Warn("control socket does not accept", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-c.closing.Done():
				return
			}
			continue
		}
		c.serve(stream)
	}
}

func (c *control) serve(stream net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		_ = stream.Close()
		return
	}
	var conn *rpc.Conn
	conn = rpc.NewConn(stream, rpc.Config{
		// Whoever may open the socket owns the peer: the file's mode is the gate.
		Admit:    func(rpc.Hello) (rpc.Role, error) { return rpc.RoleControl, nil },
		Registry: c.registry,
		Workers:  c.workers,
		MaxFrame: wire.MaxControl,
		MaxQueue: 2 * wire.MaxControl,
		OnClose: func(error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.conns, conn)
		},
	})
	c.conns[conn] = struct{}{}
}

// close ends handlers, sends their answers and removes the socket.
func (c *control) close() error {
	c.cancel()
	err := c.socket.Close()
	c.wg.Wait()
	c.workers.Close()
	for _, conn := range c.takeConns() {
		_ = conn.Close() // never fails
	}
	return errors.Join(err, c.socket.remove())
}

// kill drops everything at once, as the death of the process would.
func (c *control) kill() {
	c.cancel()
	_ = c.socket.Close()
	for _, conn := range c.takeConns() {
		conn.Abort()
	}
	c.wg.Wait()
	c.workers.Close()
}

func (c *control) takeConns() []*rpc.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	var conns []*rpc.Conn
	for conn := range c.conns {
		conns = append(conns, conn)
	}
	c.conns = nil
	return conns
}

// handle registers the handler of a method: fn gets the request's document and
// body and returns those of the answer.
func handle[In any](c *control, m rpc.Method, spec rpc.Spec, fn func(ctx context.Context, in In, body []byte) (doc any, out []byte, err error)) {
	spec.Role = rpc.RoleControl
	c.registry.Handle(m, spec, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.closing, cancel)()
		var in In
		body, err := wire.ParseControl(req.Payload, &in)
		if err != nil {
			return nil, &rpc.Error{Code: string(client.CodeUsage), Message: err.Error()}
		}
		doc, out, err := fn(ctx, in, body)
		if err != nil {
			return nil, c.travelling(err)
		}
		return wire.AppendControl(nil, doc, out)
	})
}

// travelling returns an error as the client reads it.
func (c *control) travelling(err error) *rpc.Error {
	if c.closing.Err() != nil && errors.Is(err, context.Canceled) {
		err = client.ErrClosed
	}
	e := client.AsError(err)
	return &rpc.Error{Code: string(e.Code), Message: e.Message, Detail: []byte(e.Fix)}
}
