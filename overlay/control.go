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
	desk     *desk
	log      *slog.Logger
	socket   *controlSocket
	registry *rpc.Registry
	workers  *rpc.Workers
	wg       sync.WaitGroup
	cancel   context.CancelFunc // ends the handlers

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
	closing, cancel := context.WithCancel(context.Background())
	c := &control{
		desk:     newDesk(closing, node),
		log:      log,
		socket:   socket,
		registry: rpc.NewRegistry(),
		workers:  rpc.NewWorkers(controlWorkers, controlQueue),
		cancel:   cancel,
		conns:    make(map[*rpc.Conn]struct{}),
	}
	for _, call := range c.desk.calls() {
		call.spec.Name, call.spec.Role = "control."+call.spec.Name, rpc.RoleControl
		c.registry.Handle(call.method, call.spec, call.handle)
	}
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
			case <-c.desk.closing.Done():
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
