package rpc

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// The bytes of version 1. A change here is a change of the protocol: peers that
// run a released program could not read it.
func TestGoldenFrames(t *testing.T) {
	trace := bytes.Repeat([]byte{0xaa}, 16)
	for _, tt := range []struct {
		name   string
		frame  []byte
		golden string
	}{
		{
			"hello",
			appendHello(nil, Hello{Ring: []byte("ring"), Credential: []byte("cred"), Role: RoleMember}.message(1<<20, nil)),
			"00000015" + "00" + "0801" + "120472696e67" + "1a0463726564" + "2003" + "28808040",
		},
		{
			"refusal",
			appendHello(nil, Hello{}.message(1<<20, &Error{Code: "wrong-ring", Message: "not ours", Detail: []byte{7}})),
			"00000022" + "00" + "0801" + "28808040" + "3219" + "0a0a77726f6e672d72696e67" + "12086e6f74206f757273" + "1a0107",
		},
		{
			"request",
			appendFrame(nil, &pb.Envelope{
				Kind: pb.Kind_KIND_REQUEST, Call: 300, Method: 10, DeadlineMs: 1500,
				Shard: 7, Epoch: 3, Class: 1, Role: 2, Trace: trace,
			}, []byte("payload")),
			"0000002d" + "01" + "24" + "0801" + "10ac02" + "180a" + "20dc0b" + "2807" + "3003" + "3801" + "4002" +
				"4a10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + "7061796c6f6164",
		},
		{
			"reply",
			appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_REPLY, Call: 300}, []byte("ok")),
			"00000009" + "01" + "05" + "0802" + "10ac02" + "6f6b",
		},
		{
			"error",
			appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_ERROR, Call: 1}, marshalFailure(ErrBusy)),
			"0000001b" + "01" + "04" + "0803" + "1001" + "0a0462757379" + "120d71756575652069732066756c6c",
		},
		{
			"cast",
			appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_CAST, Method: 2}, nil),
			"00000006" + "01" + "04" + "0804" + "1802",
		},
		{
			"cancel",
			appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_CANCEL, Call: 5}, nil),
			"00000006" + "01" + "04" + "0805" + "1005",
		},
	} {
		if got := hex.EncodeToString(tt.frame); got != tt.golden {
			t.Errorf("%s is\n%s, want\n%s", tt.name, got, tt.golden)
		}
	}
}

func TestParseFrameRoundTrip(t *testing.T) {
	want := &pb.Envelope{Kind: pb.Kind_KIND_REQUEST, Call: 1 << 40, Method: 65535, DeadlineMs: 1, Shard: 9, Epoch: 1 << 50, Class: 255, Role: 4, Trace: make([]byte, 16)}
	frame := appendFrame([]byte("before"), want, []byte("payload"))
	var got pb.Envelope
	payload, err := parseFrame(frame[len("before")+lengthBytes:], &got)
	if err != nil || string(payload) != "payload" {
		t.Fatalf("payload %q, %v", payload, err)
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	env := func(e *pb.Envelope) []byte { return appendFrame(nil, e, nil)[lengthBytes:] }
	for name, body := range map[string][]byte{
		"nothing":        {},
		"one byte":       {formatCall},
		"other format":   {9, 0},
		"short envelope": {formatCall, 4, 1, 2},
		"garbage":        {formatCall, 3, 0xff, 0xff, 0xff},
		"short trace":    env(&pb.Envelope{Kind: pb.Kind_KIND_CAST, Trace: []byte{1}}),
	} {
		if _, err := parseFrame(body, new(pb.Envelope)); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string][]byte{
		"nothing": {},
		"a call":  {formatCall, 0},
		"garbage": {formatHello, 0xff, 0xff},
		"large":   append([]byte{formatHello, 0x12, 0x80, 0x80, 0x01}, make([]byte, maxHello)...),
	} {
		if _, err := parseHello(body); !errors.Is(err, errFrame) {
			t.Errorf("hello, %s: %v", name, err)
		}
	}
}

// frames returns random bodies and the stream that carries them.
func frames(r *rand.Rand) (bodies [][]byte, stream []byte) {
	for range 40 {
		n := 1 + r.IntN(300)
		if r.IntN(4) == 0 {
			n = 1 + r.IntN(100_000)
		}
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		bodies = append(bodies, body)
		stream = binary.BigEndian.AppendUint32(stream, uint32(n))
		stream = append(stream, body...)
	}
	return bodies, stream
}

func TestFrameReader(t *testing.T) {
	for seed := range uint64(20) {
		bodies, stream := frames(rand.New(rand.NewPCG(seed, 0)))
		for name, r := range map[string]io.Reader{
			"at once":  bytes.NewReader(stream),
			"halves":   iotest.HalfReader(bytes.NewReader(stream)),
			"one byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"with end": iotest.DataErrReader(bytes.NewReader(stream)),
		} {
			f := newFrameReader(r, 1<<20, func() {})
			for i, want := range bodies {
				got, _, err := f.next()
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("seed %d, %s: frame %d has %d bytes, want %d: %v", seed, name, i, len(got), len(want), err)
				}
			}
			if _, _, err := f.next(); err != io.EOF {
				t.Errorf("seed %d, %s: the end is %v", seed, name, err)
			}
			if c := cap(f.buf); c > largeBuffer {
				t.Errorf("buffer grew to %d", c)
			}
		}
	}
}

func TestFrameReaderShrinks(t *testing.T) {
	body := make([]byte, 100)
	small := append(binary.BigEndian.AppendUint32(nil, 100), body...)
	burst := bytes.Repeat(small, 500)
	f := newFrameReader(io.MultiReader(bytes.NewReader(burst), iotest.OneByteReader(bytes.NewReader(burst))), 1<<20, func() {})
	grown := 0
	for range 1000 {
		if got, _, err := f.next(); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		grown = max(grown, len(f.buf))
	}
	if grown != largeBuffer || len(f.buf) != smallBuffer || f.large != nil {
		t.Errorf("buffer grew to %d and ended with %d", grown, len(f.buf))
	}
}

func TestFrameReaderRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		stream []byte
		want   error
	}{
		"empty":        {nil, io.EOF},
		"half length":  {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"no format":    {[]byte{0, 0, 0, 0}, errFrame},
		"too large":    {[]byte{0, 0x10, 0, 1}, errFrame},
		"half a small": {[]byte{0, 0, 0, 9, 1, 2}, io.ErrUnexpectedEOF},
		"half a large": {[]byte{0, 1, 0, 0, 1, 2}, io.ErrUnexpectedEOF},
	} {
		if _, _, err := newFrameReader(bytes.NewReader(tt.stream), 1<<20, func() {}).next(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_REQUEST, Call: 1, Method: 10, Trace: make([]byte, 16)}, []byte("x")))
	f.Add(appendFrame(nil, &pb.Envelope{Kind: pb.Kind_KIND_ERROR, Call: 1}, marshalFailure(ErrBusy)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := newFrameReader(bytes.NewReader(stream), 1<<20, func() {})
		for {
			body, _, err := r.next()
			if err != nil {
				return
			}
			var env pb.Envelope
			payload, err := parseFrame(body, &env)
			if err != nil {
				continue
			}
			if len(payload) > len(body) {
				t.Fatalf("a payload of %d bytes in a body of %d", len(payload), len(body))
			}
			if env.Kind == pb.Kind_KIND_ERROR {
				_, _ = parseFailure(payload)
			}
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add(appendHello(nil, Hello{Ring: []byte("ring")}.message(1<<20, nil))[lengthBytes:])
	f.Add(appendHello(nil, Hello{}.message(1<<20, ErrBusy))[lengthBytes:])
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseHello(body)
		if err != nil {
			return
		}
		if h, refusal := (Hello{Ring: []byte("ring")}).check(m); refusal == nil && h.Role > RoleControl {
			t.Fatalf("let in with role %d", h.Role)
		}
	})
}

func FuzzFailure(f *testing.F) {
	f.Add(marshalFailure(ErrBusy))
	f.Add(marshalFailure(&Error{Code: "no-room", Message: "full", Detail: []byte{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseFailure(b)
		if err != nil {
			if !errors.Is(err, errFrame) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseFailure(marshalFailure(e))
		if err != nil || again.Code != e.Code || again.Message != e.Message || !bytes.Equal(again.Detail, e.Detail) {
			t.Fatalf("%+v came back as %+v, %v", e, again, err)
		}
	})
}
