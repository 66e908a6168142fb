package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// queues is a NATS server whose clients share tasks out.
type queues struct {
	server *server.Server
	dir    string // of the server's own; the tasks are not in it
}

// startQueues offers the two ways of NATS to share tasks out: a work queue of JetStream,
// from which workers fetch so many at a time, and a queue group, to whose members the
// server pushes. Both keep everything in memory.
func startQueues(context.Context) ([]farm, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "benchpeers-")
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: ports[0], NoLog: true, NoSigs: true, JetStream: true, StoreDir: dir})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.Start()
	q := &queues{s, dir}
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.Join(errors.New("NATS does not start"), q.close())
	}
	var farms []farm
	for _, prefetch := range []int{1, 8, 100} {
		run := func(ctx context.Context, times []time.Duration) (time.Duration, error) {
			return q.pull(ctx, times, prefetch)
		}
		farms = append(farms, farm{fmt.Sprintf("NATS JetStream, prefetch %d", prefetch), run, func() error { return nil }})
	}
	return append(farms, farm{"NATS queue group, 64 at a time", q.push, q.close}), nil
}

func (q *queues) close() error {
	q.server.Shutdown()
	q.server.WaitForShutdown()
	return os.RemoveAll(q.dir)
}

// taskOf writes how long a task sleeps.
func taskOf(d time.Duration) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(d)) }

func sleepFor(task []byte) { time.Sleep(time.Duration(binary.LittleEndian.Uint64(task))) }

// pull has workers fetch tasks from a work queue. The time does not count their way into it.
func (q *queues) pull(ctx context.Context, times []time.Duration, prefetch int) (took time.Duration, err error) {
	conn, err := nats.Connect(q.server.ClientURL())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(len(times)))
	if err != nil {
		return 0, err
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "tasks", Subjects: []string{"tasks"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.MemoryStorage})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, js.DeleteStream(context.WithoutCancel(ctx), "tasks")) }()
	for _, d := range times {
		if _, err := js.PublishAsync("tasks", taskOf(d)); err != nil {
			return 0, err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	_, err = stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "w", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: len(times)})
	if err != nil {
		return 0, err
	}
	var workers []jetstream.MessagesContext
	defer func() {
		for _, w := range workers {
			w.Stop()
		}
	}()
	for range farmWorkers {
		conn, err := nats.Connect(q.server.ClientURL())
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		w, err := q.worker(ctx, conn, prefetch)
		if err != nil {
			return 0, err
		}
		workers = append(workers, w)
	}
	begun := time.Now()
	err = drain(ctx, workers, len(times))
	return time.Since(begun), err
}

func (q *queues) worker(ctx context.Context, conn *nats.Conn, prefetch int) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	c, err := js.Consumer(ctx, "tasks", "w")
	if err != nil {
		return nil, err
	}
	return c.Messages(jetstream.PullMaxMessages(prefetch))
}

// drain runs n tasks.
func drain(ctx context.Context, workers []jetstream.MessagesContext, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	ended := make(chan error, len(workers)+1)
	for _, w := range workers {
		go func() {
			for {
				m, err := w.Next()
				if err != nil {
					ended <- err
					return
				}
				sleepFor(m.Data())
				if err := m.Ack(); err != nil {
					ended <- err
					return
				}
				if left.Add(-1) == 0 {
					ended <- nil
				}
			}
		}()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// push asks the members of a queue group, 64 tasks at a time.
func (q *queues) push(ctx context.Context, times []time.Duration) (time.Duration, error) {
	const atOnce = 64
	for range farmWorkers {
		conn, err := nats.Connect(q.server.ClientURL())
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		_, err = conn.QueueSubscribe("tasks.push", "workers", func(m *nats.Msg) {
			sleepFor(m.Data)
			_ = m.Respond(nil) // who waits for it finds out
		})
		if err == nil {
			err = conn.Flush()
		}
		if err != nil {
			return 0, err
		}
	}
	conn, err := nats.Connect(q.server.ClientURL())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		failed = make(chan error, atOnce)
	)
	begun := time.Now()
	for range atOnce {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(times)); i = next.Add(1) - 1 {
				if _, err := conn.RequestWithContext(ctx, "tasks.push", taskOf(times[i])); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	close(failed)
	return took, <-failed
}
