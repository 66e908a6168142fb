package bootstrap

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/chorus-net/chorus/bootstrap/pass"
)

const (
	admissionFormat = 1
	maxAdmission    = 4 << 10 // bytes of a request, and of an answer
)

// AdmissionRequest is what a stranger asks a peer of a closed ring.
type AdmissionRequest struct {
	// Token is redeemed, if there is one.
	Token string `json:"token,omitempty"`
	// Pass is judged otherwise: would it let the peer in?
	Pass []byte `json:"pass,omitempty"`
}

// Admission is the answer.
type Admission struct {
	// Ring and Pass are for the one who redeemed a token.
	Ring Ring
	Pass pass.Chain
	// Decrees are those that the stranger must know before it can meet the others.
	Decrees []pass.Decree
	// Refusal says why not; nil: nothing is held against the stranger.
	Refusal *Error
}

type requestJSON struct {
	Format int `json:"format"`
	AdmissionRequest
}

// admissionJSON is the encoded form of an Admission.
type admissionJSON struct {
	Format  int             `json:"format"`
	Ring    json.RawMessage `json:"ring,omitempty"`
	Pass    []byte          `json:"pass,omitempty"`
	Decrees []byte          `json:"decrees,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Fix     string          `json:"fix,omitempty"`
}

// Marshal returns the request's JSON, which ParseAdmissionRequest reads.
func (r AdmissionRequest) Marshal() ([]byte, error) {
	b, err := json.Marshal(requestJSON{admissionFormat, r})
	if err == nil && len(b) > maxAdmission {
		err = fmt.Errorf("%d bytes, at most %d", len(b), maxAdmission)
	}
	if err != nil {
		return nil, fmt.Errorf("encode admission request: %w", err)
	}
	return b, nil
}

// ParseAdmissionRequest reads a request. It comes from anybody.
func ParseAdmissionRequest(b []byte) (AdmissionRequest, error) {
	var j requestJSON
	if err := parseAdmission(b, &j, &j.Format); err != nil {
		return AdmissionRequest{}, fmt.Errorf("parse admission request: %w", err)
	}
	return j.AdmissionRequest, nil
}

// Marshal returns the answer's JSON, which ParseAdmission reads. The text of a
// refusal is cut to what fits.
func (a Admission) Marshal() ([]byte, error) {
	j := admissionJSON{Format: admissionFormat}
	if a.Refusal != nil {
		j.Code, j.Message, j.Fix = a.Refusal.Code, printable(a.Refusal.Message), printable(a.Refusal.Fix)
	} else {
		j.Decrees = pass.AppendDecrees(nil, a.Decrees)
	}
	if a.Refusal == nil && len(a.Pass.Links) > 0 {
		ring, err := a.Ring.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode admission: %w", err)
		}
		j.Ring, j.Pass = ring, a.Pass.Append(nil)
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode admission: %w", err)
	}
	return b, nil
}

// ParseAdmission reads an answer. The peer that gave it is the one that was
// asked, and may yet say anything: who redeemed a token verifies the pass.
func ParseAdmission(b []byte) (Admission, error) {
	var j admissionJSON
	err := parseAdmission(b, &j, &j.Format)
	a := Admission{}
	switch {
	case err != nil:
	case j.Code != "":
		a.Refusal = &Error{Code: refusalCode(j.Code), Message: printable(j.Message), Fix: printable(j.Fix)}
	case len(j.Pass) > 0:
		if a.Ring, err = ParseRing(j.Ring); err == nil {
			a.Pass, err = pass.ParseChain(j.Pass)
		}
	}
	if err == nil && a.Refusal == nil {
		a.Decrees, err = pass.ParseDecrees(j.Decrees)
	}
	if err != nil {
		return Admission{}, fmt.Errorf("parse admission: %w", err)
	}
	return a, nil
}

func parseAdmission(b []byte, v any, format *int) error {
	if len(b) > maxAdmission {
		return fmt.Errorf("%d bytes, at most %d", len(b), maxAdmission)
	}
	if err := decodeStrict(b, v); err != nil {
		return err
	}
	if *format != admissionFormat {
		return fmt.Errorf("format %d, this version knows format %d", *format, admissionFormat)
	}
	return nil
}

// refusalCode keeps the codes that a refusal may have.
func refusalCode(code string) string {
	switch code {
	case CodeBadClock, CodeBadToken, CodeExpired, CodeNotInvited, CodeRevoked, CodeTokenUsed, CodeTokenVoid:
		return code
	default:
		return CodeRefused
	}
}

// maxRefusalText bounds the text of a refusal, in bytes.
const maxRefusalText = 512

// printable makes text from elsewhere fit for a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxRefusalText {
		s = strings.ToValidUTF8(s[:maxRefusalText], "")
	}
	return s
}
