package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chorus-net/chorus/internal/rpc"
)

func TestAsError(t *testing.T) {
	own := &Error{Code: CodeHomeLocked, Message: "in use", Fix: "stop it"}
	for _, c := range []struct {
		err  error
		want *Error
	}{
		{nil, nil},
		{own, own},
		{fmt.Errorf("join: %w", own), &Error{Code: CodeHomeLocked, Message: "join: in use", Fix: "stop it"}},
		{context.DeadlineExceeded, &Error{Code: CodeTimeout, Message: "context deadline exceeded"}},
		{fmt.Errorf("get: %w", context.Canceled), &Error{Code: CodeInterrupted, Message: "get: context canceled"}},
		{errors.New("x"), &Error{Code: CodeInternal, Message: "x"}},
	} {
		if diff := cmp.Diff(c.want, AsError(c.err)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.err, diff)
		}
	}
}

func TestErrorsMatchByCode(t *testing.T) {
	err := fmt.Errorf("get: %w", &Error{Code: CodeNotFound, Message: "no key x"})
	if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrQuorum) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is matched wrongly", err)
	}
	if !errors.Is(&Error{Code: CodeTimeout}, context.DeadlineExceeded) {
		t.Error("a time-out is no context.DeadlineExceeded")
	}
}

// TestFromRPC checks that what a connection meets gets a code that people know.
func TestFromRPC(t *testing.T) {
	for code, want := range map[string]ErrorCode{
		rpc.CodeConnLost:         CodeClosed,
		rpc.CodeClosed:           CodeClosed,
		rpc.CodeBusy:             CodeOverloaded,
		rpc.CodeTooLarge:         CodeValueTooLarge,
		rpc.CodeDeadline:         CodeTimeout,
		rpc.CodeUnknownMethod:    CodeNotAvailable,
		rpc.CodeUnavailable:      CodeClosed,
		string(CodeJobCancelled): CodeJobCancelled,
	} {
		got := AsError(fromRPC(&rpc.Error{Code: code, Message: "m", Detail: []byte("f")}))
		if got.Code != want {
			t.Errorf("%s becomes %s, want %s", code, got.Code, want)
		}
		if _, known := codes[got.Code]; !known {
			t.Errorf("%s becomes %s, which is in no table", code, got.Code)
		}
	}
	if diff := cmp.Diff(context.Canceled, fromRPC(context.Canceled), cmpopts.EquateErrors()); diff != "" {
		t.Error(diff)
	}
}
