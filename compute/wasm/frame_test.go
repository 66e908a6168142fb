package wasm

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFramesRoundTrip(t *testing.T) {
	same := func(got, want any, rest []byte, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" || string(rest) != "rest" || err != nil {
			t.Errorf("%s then %q, %v", diff, rest, err)
		}
	}
	run := runFrame{
		seq: 7, hash: [32]byte{1, 2}, seed: [32]byte{3}, memory: 1 << 33, output: 5, log: 6,
		parts: [][]byte{[]byte("one"), {}, []byte("three")},
	}
	var gotRun runFrame
	rest, err := gotRun.decode(append(run.encode(), "rest"...))
	same(gotRun, run, rest, err)

	done := doneFrame{
		seq: 9, outcome: outcomeOf(KindExit), exit: 3, warm: true, memory: 1 << 40, dropped: 11, text: "why", spawned: [][]byte{[]byte("part")},
	}
	var gotDone doneFrame
	rest, err = gotDone.decode(append(done.encode(), "rest"...))
	same(gotDone, done, rest, err)
	if diff := cmp.Diff(&Error{Kind: KindExit, Exit: 3, Text: "why"}, gotDone.err()); diff != "" {
		t.Error(diff)
	}

	question := askFrame{seq: 2, ask: askPut, key: "photos/7"}
	var gotQuestion askFrame
	rest, err = gotQuestion.decode(append(question.encode(), "rest"...))
	same(gotQuestion, question, rest, err)

	reply := replyFrame{seq: 4, verdict: verdictRefused}
	var gotReply replyFrame
	rest, err = gotReply.decode(append(reply.encode(), "rest"...))
	same(gotReply, reply, rest, err)

	setup := setupFrame{version: 1, data: 1 << 35, memory: 1 << 30, cache: "/var/lib"}
	var gotSetup setupFrame
	err = gotSetup.decode(setup.encode())
	same(gotSetup, setup, []byte("rest"), err)
}

func TestReadFrameBounds(t *testing.T) {
	var b bytes.Buffer
	if err := writeFrame(&b, frameLog, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	if _, body, err := readFrame(bytes.NewReader(whole), 5); err != nil || string(body) != "12345" {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := readFrame(bytes.NewReader(whole), 4); err == nil {
		t.Error("a frame over the limit was read")
	}
	for i := range whole {
		_, _, err := readFrame(bytes.NewReader(whole[:i]), 5)
		if i == 0 && err != io.EOF || i > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
}

// FuzzAnswers reads a child's answers as a parent does.
func FuzzAnswers(f *testing.F) {
	var b bytes.Buffer
	_ = writeFrame(&b, frameDone, (&doneFrame{seq: 1, text: "text"}).encode(), []byte("output"))
	f.Add(b.Bytes())
	b.Reset()
	_ = writeFrame(&b, frameAsk, (&askFrame{seq: 1, ask: askPut, key: "key"}).encode(), []byte("value"))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		for {
			kind, body, err := readFrame(r, 1<<16)
			if err != nil {
				return
			}
			var question askFrame
			if kind == frameAsk {
				if value, err := question.decode(body); err == nil && !bytes.Equal(append(question.encode(), value...), body) {
					t.Fatalf("%x decodes to %+v", body, question)
				}
				continue
			}
			var done doneFrame
			if output, err := done.decode(body); err == nil {
				if again := append(done.encode(), output...); !bytes.Equal(again, body) {
					t.Fatalf("%x decodes and encodes to %x", body, again)
				}
				_ = done.err()
			}
		}
	})
}
