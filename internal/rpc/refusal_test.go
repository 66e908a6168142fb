package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
)

// oneWay is a stream whose other side has closed after writing: writes fail,
// and what was written can be read once they have.
type oneWay struct {
	in     *bytes.Reader
	once   sync.Once
	broken chan struct{}
}

func (s *oneWay) Write([]byte) (int, error)        { return 0, syscall.EPIPE }
func (s *oneWay) SetWriteDeadline(time.Time) error { return nil }
func (s *oneWay) SetReadDeadline(time.Time) error  { return nil }
func (s *oneWay) Close() error                     { s.fail(); return nil }
func (s *oneWay) fail()                            { s.once.Do(func() { close(s.broken) }) }

func (s *oneWay) Read(b []byte) (int, error) {
	<-s.broken
	if s.in.Len() == 0 {
		return 0, io.EOF
	}
	return s.in.Read(b)
}

// A refusal is read even if writing failed before the hello that precedes it
// was.
func TestRefusalAfterBrokenWrite(t *testing.T) {
	refusal := "00000016" + "00" + "0801" + "28808040" + "320d" + "0a0772656675736564" + "12026e6f"
	s := &oneWay{in: bytes.NewReader(unhex(t, hello+refusal)), broken: make(chan struct{})}
	ended := make(chan error, 1)
	c := rpc.NewConn(s, rpc.Config{OnClose: func(err error) { ended <- err }})
	for c.Err() == nil { // until the failed write is known
		time.Sleep(time.Millisecond)
	}
	s.fail()
	if err := <-ended; !errors.Is(err, &rpc.Error{Code: rpc.CodeRefused}) {
		t.Errorf("ended with %v, want the refusal", err)
	}
	if _, err := c.Call(context.Background(), rpc.Header{Method: methodEcho}, nil); !errors.Is(err, &rpc.Error{Code: rpc.CodeRefused}) {
		t.Errorf("a call afterwards: %v", err)
	}
	<-c.Done()
}
