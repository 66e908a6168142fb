package simnet

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNetwork(t testing.TB, s Settings) *Network {
	t.Helper()
	n, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func listen(t testing.TB, n *Network, i int) net.PacketConn {
	t.Helper()
	c, err := n.ListenUDP(i)("udp4", &net.UDPAddr{IP: ipOf(i), Port: udpPort})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receive returns the next packet, or "" when there is none within a second.
func receive(t testing.TB, c net.PacketConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	n, _, err := c.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func send(t testing.TB, from, to net.PacketConn, what string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(what), to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

func TestSettings(t *testing.T) {
	for _, bad := range []Settings{{Latency: -1}, {Jitter: -1}, {Loss: -0.1}, {Loss: 1.1}, {Bandwidth: -1}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestAddresses(t *testing.T) {
	networks := make(map[[2]byte]bool)
	for i := range MaxHosts {
		ip := ipOf(i)
		if back := hostOf(&net.UDPAddr{IP: ip, Port: udpPort}); back != i {
			t.Fatalf("%v is host %d, not %d", ip, back, i)
		}
		networks[[2]byte(ip)] = true
	}
	if len(networks) < 200 {
		t.Errorf("hosts are in %d networks", len(networks))
	}
	for _, stranger := range []net.Addr{
		&net.UDPAddr{IP: ipOf(0), Port: 1},
		&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: udpPort},
		&net.UDPAddr{IP: net.IPv6loopback, Port: udpPort},
		&net.UDPAddr{IP: net.IPv4(1, 255, 255, 1), Port: udpPort},
		&net.TCPAddr{IP: ipOf(0), Port: udpPort},
	} {
		if i := hostOf(stranger); i != -1 {
			t.Errorf("%v is host %d", stranger, i)
		}
	}
}

func TestBinding(t *testing.T) {
	n := newNetwork(t, Settings{})
	c := listen(t, n, 0)
	if _, err := n.ListenUDP(0)("udp4", &net.UDPAddr{IP: net.IPv4zero}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second socket: %v", err)
	}
	c.Close()
	c = listen(t, n, 0)
	if err := n.Down(0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("socket of a host that is down: %v", err)
	}
	if _, err := n.ListenUDP(0)("udp4", &net.UDPAddr{IP: net.IPv4zero}); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("socket while down: %v", err)
	}
	if err := n.Up(0); err != nil {
		t.Fatal(err)
	}
	listen(t, n, 0)
	if _, err := n.ListenUDP(1)("udp4", &net.UDPAddr{IP: ipOf(0), Port: udpPort}); err == nil {
		t.Error("a host listens at another's address")
	}
	if _, err := n.ListenUDP(MaxHosts)("udp4", &net.UDPAddr{IP: net.IPv4zero}); err == nil {
		t.Error("there is no such host")
	}
}

func TestLatencyAndJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, Settings{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
		a, b, c := listen(t, n, 0), listen(t, n, 1), listen(t, n, 2)
		n.SetLatency(2, 0, 300*time.Millisecond)
		measure := func(to net.PacketConn) time.Duration {
			began := time.Now()
			send(t, a, to, "x")
			if receive(t, to) != "x" {
				t.Fatal("lost")
			}
			return time.Since(began)
		}
		var least, most time.Duration = time.Hour, 0
		for range 200 {
			d := measure(b)
			least, most = min(least, d), max(most, d)
		}
		if least < 20*time.Millisecond || most > 31*time.Millisecond || most-least < 8*time.Millisecond {
			t.Errorf("between %v and %v", least, most)
		}
		if d := measure(c); d < 300*time.Millisecond || d > 311*time.Millisecond {
			t.Errorf("link of its own: %v", d)
		}
	})
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, Settings{Bandwidth: 8e6}) // a byte each microsecond
		a, b := listen(t, n, 0), listen(t, n, 1)
		const packets, size = 60, 1400
		began := time.Now()
		for range packets {
			send(t, a, b, string(make([]byte, size)))
		}
		for range packets {
			if receive(t, b) == "" {
				t.Fatal("lost")
			}
		}
		if took, want := time.Since(began), packets*size*time.Microsecond; took < want*8/10 || took > want*12/10 {
			t.Errorf("took %v, want about %v", took, want)
		}
	})
}

// lossPattern tells which of a thousand packets arrive.
func lossPattern(t *testing.T, seed uint64) string {
	n := newNetwork(t, Settings{Loss: 0.2, Seed: seed})
	a, b := listen(t, n, 0), listen(t, n, 1)
	pattern := make([]byte, 1000)
	for i := range pattern {
		pattern[i] = '.'
		sent := n.Stats()
		send(t, a, b, "x")
		if n.Stats().Lost == sent.Lost {
			pattern[i] = 'x'
			if receive(t, b) != "x" {
				t.Fatal("lost without being counted")
			}
		}
	}
	return string(pattern)
}

func TestLossFollowsFromSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := lossPattern(t, 1)
		lost := 0
		for _, c := range first {
			if c == '.' {
				lost++
			}
		}
		if lost < 150 || lost > 250 {
			t.Errorf("%d of 1000 packets were lost, want about 200", lost)
		}
		if lossPattern(t, 1) != first {
			t.Error("the same seed loses other packets")
		}
		if lossPattern(t, 2) == first {
			t.Error("another seed loses the same packets")
		}
	})
}

func TestPartitionAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, Settings{Latency: 10 * time.Millisecond})
		socks := make([]net.PacketConn, 4)
		for i := range socks {
			socks[i] = listen(t, n, i)
		}
		hears := func(from, to int) bool {
			send(t, socks[from], socks[to], "x")
			return receive(t, socks[to]) == "x"
		}
		check := func(when string, want func(a, b int) bool) {
			t.Helper()
			for a := range socks {
				for b := range socks {
					if a != b && hears(a, b) != want(a, b) {
						t.Errorf("%s: %d reaches %d: %v", when, a, b, !want(a, b))
					}
				}
			}
		}
		check("whole", func(int, int) bool { return true })
		n.Partition([]int{0, 1})
		check("split", func(a, b int) bool { return (a < 2) == (b < 2) })
		n.Partition([]int{0}, []int{1, 2})
		check("split again", func(a, b int) bool { return a+b == 3 && a*b == 2 })
		n.Heal()
		check("healed", func(int, int) bool { return true })
		n.Cut(0, 1)
		n.Cut(3, 2)
		check("two links cut", func(a, b int) bool { return (a < 2) != (b < 2) })
		n.Heal()
		check("healed again", func(int, int) bool { return true })

		send(t, socks[0], socks[1], "under way")
		n.Partition([]int{0})
		if got := receive(t, socks[1]); got != "" {
			t.Errorf("a partition let %q pass", got)
		}
		n.Heal()

		send(t, socks[3], socks[0], "last words")
		if err := n.Down(3); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, socks[0]); got != "" {
			t.Errorf("a crashed host said %q", got)
		}
		if _, err := socks[0].WriteTo([]byte("x"), socks[3].LocalAddr()); err != nil {
			t.Errorf("send to a host that is down: %v", err)
		}
		if err := n.Up(3); err != nil {
			t.Fatal(err)
		}
		socks[3] = listen(t, n, 3)
		check("up again", func(int, int) bool { return true })
		synctest.Wait() // a packet is counted after it was handed over
		if s := n.Stats(); s.Cut == 0 || s.Sent != s.Delivered+s.Cut+s.Lost+s.Dropped {
			t.Errorf("%+v does not add up", s)
		}
	})
}

// A host that does not read loses packets; nobody else does.
func TestStalledHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, Settings{})
		a, b, stalled := listen(t, n, 0), listen(t, n, 1), listen(t, n, 2)
		for range 3 * socketQueue {
			send(t, a, stalled, "x")
		}
		send(t, a, stalled, string(make([]byte, maxPacket+1)))
		send(t, a, b, "through")
		if receive(t, b) != "through" {
			t.Error("a stalled host stalls others")
		}
		time.Sleep(time.Second)
		if s := n.Stats(); s.Dropped < socketQueue || s.Delivered > socketQueue+1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, Settings{})
		c := listen(t, n, 0)
		result := make(chan error, 1)
		read := func() { _, _, err := c.ReadFrom(make([]byte, 1)); result <- err }

		go read()
		synctest.Wait()
		c.SetReadDeadline(time.Now()) // as QUIC does to end its reader
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("past deadline: %v", err)
		}
		began := time.Now()
		c.SetReadDeadline(began.Add(time.Second))
		go read()
		synctest.Wait()
		c.SetReadDeadline(began.Add(3 * time.Second))
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("moved deadline: %v after %v", err, time.Since(began))
		}
		c.SetReadDeadline(time.Time{})
		go read()
		time.Sleep(time.Hour)
		c.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
