package overlay

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// floodVar makes the test binary an attacker: it holds an order as JSON.
const floodVar = "CHORUS_TEST_FLOOD"

// order is what an attacker has to know.
type order struct {
	Flood     string
	Ring      []byte
	Victim    string // its peer ID
	Addrs     []string
	Key, Pass []byte
}

// attacker is a process that attacks when it is told to.
type attacker struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	did string // what it counted in each attack
}

// startAttacker starts the test binary again, as an attacker.
func startAttacker(t *testing.T, victim *Node, f flood) *attacker {
	t.Helper()
	key, public, err := newPeerKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	o := order{Flood: f.name, Ring: victim.ring.ID[:], Victim: p2p.FormatPeerID(victim.self.Peer), Addrs: victim.host.Addrs(), Key: private}
	if f.member {
		o.Pass = sealed(t, victim, public, passes.Member, nil)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `chrt -i -p 0 $$ >/dev/null 2>&1 || renice -n 19 -p $$ >/dev/null 2>&1; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), floodVar+"="+string(b))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // at which it ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("the attacker: %v", err)
		}
	})
	return &attacker{t: t, in: in, out: bufio.NewReader(out)}
}

func newPeerKey() (crypto.PrivKey, passes.Key, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, passes.Key{}, err
	}
	public, err := bootstrap.KeyOf(key)
	return key, public, err
}

// say tells the attacker something, and waits for its answer.
func (a *attacker) say(word, answer string) {
	a.t.Helper()
	if _, err := fmt.Fprintln(a.in, word); err != nil {
		a.t.Fatal(err)
	}
	line, err := a.out.ReadString('\n')
	if got, more, _ := strings.Cut(strings.TrimSpace(line), " "); err != nil || got != answer {
		a.t.Fatalf("the attacker says %q, %v, want %q", line, err, answer)
	} else if more != "" {
		a.did = strings.TrimSpace(a.did + " " + more)
	}
}

// assault is an attacker's own view.
type assault struct {
	host   *p2p.Host
	ring   []byte
	victim chord.PeerID
	addrs  []string
	call   atomic.Uint64 // the last number of a call
	done   atomic.Int64  // connections, streams, frames or calls that came about
}

// beAttacker is the main function of an attacker. It yields to everything else on this machine,
// which stands for a machine of its own.
func beAttacker(text string) error {
	runtime.GOMAXPROCS(1)
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	key, err := crypto.UnmarshalPrivateKey(o.Key)
	if err != nil {
		return err
	}
	victim, err := p2p.ParsePeerID(o.Victim)
	if err != nil {
		return err
	}
	h, err := p2p.New(context.Background(), p2p.Config{Key: key, Ring: o.Ring, Registry: rpc.NewRegistry(), Gate: callerGate{o.Pass}, DisableKad: true})
	if err != nil {
		return err
	}
	defer h.Close()
	h.AddPeer(victim, o.Addrs)
	for _, f := range floods() {
		if f.name == o.Flood {
			return f.obey(&assault{host: h, ring: o.Ring, victim: victim, addrs: o.Addrs}, os.Stdin)
		}
	}
	return fmt.Errorf("no such attack: %q", o.Flood)
}

// obey attacks and stops as it is told, until there are no more orders.
func (f flood) obey(a *assault, orders io.Reader) error {
	stop := func() {}
	defer func() { stop() }()
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		if lines.Text() == "stop" {
			stop()
			stop = func() {}
			fmt.Println("done", a.done.Swap(0))
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		ready, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			f.attack(ctx, a, func() { close(ready) })
		}()
		stop = func() {
			cancel()
			<-ended
		}
		<-ready
		fmt.Println("ready")
	}
	return nil
}

// eachConn opens many TCP connections, says something on each, and holds them.
func (a *assault) eachConn(ctx context.Context, say []byte, ready func()) {
	ready()
	parts := strings.Split(a.addrs[0], "/")
	var conns []net.Conn
	for range floodConns {
		c, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
		if err != nil {
			continue
		}
		defer c.Close()
		if _, err := c.Write(say); err == nil {
			a.done.Add(1)
		}
		conns = append(conns, c)
	}
	<-ctx.Done()
	runtime.KeepAlive(conns)
}

// eachStream opens many streams of calls, writes something on each, and holds them.
func (a *assault) eachStream(ctx context.Context, say []byte, ready func()) {
	ready()
	for range floodStream {
		if a.callStream(ctx, say) != nil {
			a.done.Add(1)
		}
	}
	<-ctx.Done()
}

// callStream opens a stream of calls, says hello, and writes more; nil if the victim does not take
// it. The stream ends with ctx.
func (a *assault) callStream(ctx context.Context, more []byte) network.Stream {
	id := protocol.ID(fmt.Sprintf("/chorus/%x/call/1", a.ring))
	s, err := a.host.Libp2p().NewStream(ctx, peer.ID(a.victim), id)
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { _ = s.Reset() })
	if _, err = s.Write(append(a.hello(), more...)); err != nil {
		return nil
	}
	return s
}

// hello and frame are what a peer writes that is not this program.
func (a *assault) hello() []byte {
	body := append([]byte{0, 0x08, 1, 0x12, 32}, a.ring...) // version, ring
	body = append(body, 0x20, 3, 0x28, 0x80, 0x80, 0x40)    // role, largest frame
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func (a *assault) frame(m rpc.Method, payload []byte) []byte {
	env := binary.AppendUvarint([]byte{0x08, 1, 0x10}, a.call.Add(1)) // a request, its number
	env = append(env, 0x18, byte(m))
	body := append([]byte{1, byte(len(env))}, env...)
	body = append(body, payload...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}
