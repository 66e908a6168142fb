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

// overtaken is such a stream whose Close is overtaken by another read.
type overtaken struct {
	unconfirmed
	closing chan struct{} // closed by Close
	next    chan struct{} // has a token once a read has begun after that
}

func (s *overtaken) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	select {
	case <-s.closing:
		s.next <- struct{}{}
	default:
	}
	return s.Conn.Read(b)
}

func (s *overtaken) Close() error {
	close(s.closing)
	<-s.next
	return s.unconfirmed.Close()
}

// A connection that is ended while it lets the other side in stays ended: no read begins
// afterwards that nothing would end.
func TestCloseWhileGreeting(t *testing.T) {
	here, there := net.Pipe()
	other := NewConn(there, Config{})
	defer other.Close()
	asked, answer := make(chan struct{}), make(chan struct{})
	s := &overtaken{unconfirmed: unconfirmed{Conn: here}, closing: make(chan struct{}), next: make(chan struct{}, 2)}
	c := NewConn(s, Config{Admit: func(Hello) (Role, error) {
		close(asked)
		<-answer
		return RoleMember, nil
	}})
	<-asked
	go c.Abort()
	<-s.closing
	close(answer)
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Error("the connection is still read")
	}
}
