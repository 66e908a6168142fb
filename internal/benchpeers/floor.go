package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"golang.org/x/sys/unix"
)

// floor is the least that a put to two of three synced disks can be: three
// libp2p hosts in one process, a long-lived stream to each of two, and at each a
// file, whose blocks are there already, that is appended to and synced. What comes
// while a batch is under way makes the next one. It keeps no keys, orders
// nothing and answers no reads.
type floor struct {
	hosts  []host.Host
	log    *appendLog
	queue  chan *floorPut
	acks   chan uint32 // numbers of batches, from each disk
	wires  []network.Stream
	closed chan struct{}
}

type floorPut struct {
	record []byte
	done   chan error
}

// appendLog is the file of one peer. It is written from its start again when it
// is full.
type appendLog struct {
	file *os.File
	at   int64
}

const logBytes = 64 << 20

func openAppendLog(path string) (*appendLog, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	for range logBytes >> 20 {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			return nil, err
		}
	}
	return &appendLog{file: f}, f.Sync()
}

func (l *appendLog) append(b []byte) error {
	if l.at+int64(len(b)) > logBytes {
		l.at = 0
	}
	if _, err := l.file.WriteAt(b, l.at); err != nil {
		return err
	}
	l.at += int64(len(b))
	return unix.Fdatasync(int(l.file.Fd()))
}

const floorProtocol = "/bench/floor"

func startFloor(ctx context.Context, dir string) (system, error) {
	f := &floor{queue: make(chan *floorPut, 256), acks: make(chan uint32, 16), closed: make(chan struct{})}
	var logs []*appendLog
	for i := range 3 {
		h, err := libp2p.New(libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New),
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(),
			libp2p.ResourceManager(&network.NullResourceManager{}))
		if err != nil {
			return nil, err
		}
		l, err := openAppendLog(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return nil, err
		}
		f.hosts, logs = append(f.hosts, h), append(logs, l)
	}
	f.log = logs[0]
	for i, h := range f.hosts[1:] {
		l := logs[1+i]
		h.SetStreamHandler(floorProtocol, func(s network.Stream) { follow(s, l) })
		if err := f.hosts[0].Connect(ctx, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
			return nil, err
		}
		s, err := f.hosts[0].NewStream(ctx, h.ID(), floorProtocol)
		if err != nil {
			return nil, err
		}
		f.wires = append(f.wires, s)
		go f.hear(s)
	}
	go f.lead()
	return f, nil
}

// A batch travels as its length and its number, 4 bytes each, and its bytes; the
// answer is the number.
const batchHead = 8

// follow is a peer that appends what it is sent and says so.
func follow(s network.Stream, l *appendLog) {
	in := bufio.NewReaderSize(s, 128<<10)
	var head [batchHead]byte
	var batch []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if cap(batch) < n {
			batch = make([]byte, n)
		}
		if _, err := io.ReadFull(in, batch[:n]); err != nil {
			return
		}
		if l.append(batch[:n]) != nil {
			return
		}
		if _, err := s.Write(head[4:]); err != nil {
			return
		}
	}
}

func (f *floor) hear(s network.Stream) {
	var id [4]byte
	for {
		if _, err := io.ReadFull(s, id[:]); err != nil {
			return
		}
		select {
		case f.acks <- binary.BigEndian.Uint32(id[:]):
		case <-f.closed:
			return
		}
	}
}

// lead sends batches, one at a time.
func (f *floor) lead() {
	outs := make([]chan []byte, 3)
	for i := range outs {
		outs[i] = make(chan []byte, 16)
		defer close(outs[i])
	}
	go func() {
		for b := range outs[0] {
			if f.log.append(b[batchHead:]) == nil {
				f.acks <- binary.BigEndian.Uint32(b[4:])
			}
		}
	}()
	for i, s := range f.wires {
		go func() {
			for b := range outs[1+i] {
				if _, err := s.Write(b); err != nil {
					return
				}
			}
		}()
	}
	for id := uint32(1); ; id++ {
		var puts []*floorPut
		select {
		case p := <-f.queue:
			puts = append(puts, p)
		case <-f.closed:
			return
		}
		runtime.Gosched() // let those add theirs who are about to
		for len(f.queue) > 0 {
			puts = append(puts, <-f.queue)
		}
		batch := make([]byte, batchHead)
		for _, p := range puts {
			batch = append(batch, p.record...)
		}
		binary.BigEndian.PutUint32(batch, uint32(len(batch)-batchHead))
		binary.BigEndian.PutUint32(batch[4:], id)
		for _, out := range outs {
			out <- batch
		}
		for got := 0; got < 2; {
			if <-f.acks == id {
				got++
			}
		}
		for _, p := range puts {
			p.done <- nil
		}
	}
}

func (f *floor) put(ctx context.Context, key string, value []byte) error {
	p := &floorPut{record: append([]byte(key), value...), done: make(chan error, 1)}
	select {
	case f.queue <- p:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (*floor) get(context.Context, string) error { return errors.ErrUnsupported }

func (*floor) calls(context.Context) (uint64, error) { return 0, nil }

func (f *floor) close() error {
	close(f.closed)
	var errs []error
	for _, h := range f.hosts {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}
