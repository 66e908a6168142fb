package rpc

import (
	"net"
	"sync"
	"testing"
	"time"
)

// unconfirmed is a stream whose Close waits for a read under way, as that of a
// libp2p stream does until the other side has confirmed the protocol.
type unconfirmed struct {
	net.Conn
	reading sync.Mutex
}

func (s *unconfirmed) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.Conn.Read(b)
}

func (s *unconfirmed) Close() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.Conn.Close()
}

func TestCloseUnconfirmedStream(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() { // takes the hello and never answers
		for b := make([]byte, 1024); ; {
			if _, err := there.Read(b); err != nil {
				return
			}
		}
	}()
	c := NewConn(&unconfirmed{Conn: here}, Config{WriteTimeout: time.Minute})
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Close waits for a peer that does not answer")
	}
}
