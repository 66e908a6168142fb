package main

import (
	"context"
	"errors"
	"io"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// echo carries values to another host and back, over the transport that near peers of
// Chorus use, on a stream for each caller. It keeps nothing: there is nothing to get.
type echo struct {
	hosts [2]host.Host
	idle  chan network.Stream
}

const echoProtocol = "/bench/echo"

// echoStreams is more than there are callers.
const echoStreams = 64

func startEcho(ctx context.Context, _ string) (system, error) {
	e := &echo{idle: make(chan network.Stream, echoStreams)}
	for i := range e.hosts {
		h, err := libp2p.New(libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport),
			libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
		e.hosts[i] = h
	}
	e.hosts[1].SetStreamHandler(echoProtocol, func(s network.Stream) {
		_, _ = io.Copy(s, s) // ends with the stream
		_ = s.Close()
	})
	err := e.hosts[0].Connect(ctx, peer.AddrInfo{ID: e.hosts[1].ID(), Addrs: e.hosts[1].Addrs()})
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *echo) put(ctx context.Context, _ string, value []byte) error {
	var s network.Stream
	select {
	case s = <-e.idle:
	default:
		var err error
		if s, err = e.hosts[0].NewStream(ctx, e.hosts[1].ID(), echoProtocol); err != nil {
			return err
		}
	}
	sent := make(chan error, 1)
	go func() { // the other side sends back before it has all
		_, err := s.Write(value)
		sent <- err
	}()
	_, err := io.CopyN(io.Discard, s, int64(len(value)))
	if err := errors.Join(err, <-sent); err != nil {
		return errors.Join(err, s.Reset())
	}
	e.idle <- s
	return nil
}

func (e *echo) get(context.Context, string) error { return errors.ErrUnsupported }

func (e *echo) calls(context.Context) (uint64, error) { return 0, nil }

func (e *echo) close() error {
	var errs []error
	for _, h := range e.hosts {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}
