package limits

import (
	"bytes"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/admission"
)

// AuthenticateMechanisms returns the backend's mechanisms, none on a connection that is about to be
// closed.
func (s *session) AuthenticateMechanisms() []string {
	if s.ending.Load() != nil {
		return nil
	}
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

// Authenticate starts the backend's exchange, with the limits on each step of it.
func (s *session) Authenticate(mech string) (sasl.Server, error) {
	if e := s.ending.Load(); e != nil {
		return nil, e.answer
	}
	server, err := s.Session.(imapserver.SessionSASL).Authenticate(mech)
	if err != nil {
		return nil, err
	}
	if s.exchange != nil {
		s.exchange.drop()
	}
	e := &exchange{session: s, server: server, mech: strings.ToUpper(mech)}
	s.exchange = e
	return e, nil
}

// provenTimeout is how long a client that has proven who it is may take to end the exchange.
const provenTimeout = 2 * time.Second

// exchange is a SASL exchange that learns from the client's messages who logs in. Nothing is held
// between two steps, so that a client that cancels or goes silent leaves nothing behind, with one
// exception: a client that has sent its proof and was not turned down, as in SCRAM, keeps its
// attempt for a moment, so that a storm of such logins costs no more checks than others.
type exchange struct {
	session   *session
	server    sasl.Server
	mech      string
	user      string
	proves    bool            // a client that gets through is the user
	messages  int             // of the client, empty ones not counted
	guess     admission.Guess // the user with the last message that was not empty
	challenge []byte          // the last one
	failed    bool            // a failure was counted before the server returned an error

	proven *attempt
	expire *time.Timer
}

func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	s := e.session
	defer s.sayBye()
	if len(response) > 0 {
		e.messages++
		if e.messages == 1 && !e.asksForPassword() {
			e.user, e.proves = saslUser(e.mech, response), provesName(e.mech, response)
		}
		key := s.limiter.settings.Load().userKey(e.user)
		e.guess = s.limiter.guesses.Guess(key, e.password(response))
	}
	user, attempt, err := e.begin(response != nil)
	if err != nil {
		s.exchange = nil
		return nil, false, err
	}
	kept := false
	defer func() {
		if !kept {
			attempt.End()
		}
	}()
	challenge, done, err = e.server.Next(response)
	if err != nil || done {
		s.exchange = nil
	}
	switch {
	case err != nil && e.failed:
		s.identify("")
		return nil, false, err
	case err != nil:
		return nil, false, s.fail(commandAuthenticate, e.user, e.guess, err)
	case done:
		if e.proves {
			s.noteRight(user)
		}
		// What a client claims may be another's name, which some backends ignore: no account.
		if err := s.admit(commandAuthenticate, attempt, user, ""); err != nil {
			return nil, false, err
		}
		return challenge, true, nil
	}
	e.challenge = challenge
	if e.messages >= 2 {
		kept = true
		attempt.endCheck()
		e.proven, e.expire = attempt, time.AfterFunc(provenTimeout, attempt.End)
		return challenge, false, nil
	}
	return challenge, false, e.refuseToken(response)
}

// begin returns the attempt that is held for this exchange, or begins one for its next step. Which
// step it is that checks the password only the backend knows, but none does before the client has
// sent something.
func (e *exchange) begin(isCheck bool) (user string, _ *attempt, err error) {
	s := e.session
	if kept := e.resume(); kept != nil {
		if end := s.ending.Load(); end != nil {
			kept.End()
			return "", nil, end.answer
		}
		user := s.limiter.settings.Load().userKey(e.user)
		return user, kept, s.goOn(kept, commandAuthenticate, user, isCheck)
	}
	return s.begin(commandAuthenticate, e.user, isCheck)
}

// refuseToken counts a bad bearer token: the server answers it with a challenge, and with an error
// only when the client has replied (RFC 7628 section 3.2.3). It returns an error if that was the
// last one allowed.
func (e *exchange) refuseToken(response []byte) error {
	if !e.isBearer() || len(response) == 0 || e.failed {
		return nil
	}
	e.failed = true
	err := e.session.fail(commandAuthenticate, e.user, e.guess, imapserver.ErrAuthFailed)
	if e.session.ending.Load() == nil {
		return nil
	}
	return err
}

// resume returns the attempt that is held for this exchange, nil if there is none any more.
func (e *exchange) resume() *attempt {
	attempt := e.proven
	e.proven = nil
	if attempt == nil || !e.expire.Stop() {
		return nil
	}
	return attempt
}

// drop gives up the attempt that is held.
func (e *exchange) drop() {
	if attempt := e.resume(); attempt != nil {
		attempt.End()
	}
}

// asksForPassword tells whether the message after the last challenge of LOGIN is the password,
// which must not be taken for a name: a client can skip the user name with an empty initial
// response.
func (e *exchange) asksForPassword() bool {
	return e.mech == "LOGIN" && bytes.Contains(bytes.ToLower(e.challenge), []byte("pass"))
}

// password returns what is a password in the message, or the message if that is not known. In a
// mechanism such as SCRAM it is another one each time, so that each guess counts.
func (e *exchange) password(message []byte) string {
	if e.mech == "PLAIN" {
		message = message[bytes.LastIndexByte(message, 0)+1:]
	}
	return string(message)
}

// provesName tells whether a client that gets through, and whose first message this was, has proven
// that it is the user, and not only named the user as the one that it will act as: some backends
// ignore that, and others take a token for whomever it is of.
func provesName(mech string, message []byte) bool {
	switch {
	case mech == "PLAIN":
		parts := bytes.SplitN(message, []byte{0}, 3)
		return len(parts) == 3 && (len(parts[0]) == 0 || bytes.Equal(parts[0], parts[1]))
	case mech == "LOGIN":
		return true
	case strings.HasPrefix(mech, "SCRAM-"):
		authzid, _ := gs2(message)
		return authzid == ""
	default:
		return false
	}
}

func (e *exchange) isBearer() bool { return e.mech == "OAUTHBEARER" || e.mech == "XOAUTH2" }

// saslUser returns whom the session will act as, by the first message of the client: the
// authorization identity if there is one, else the user name. It returns "" if the message does not
// tell.
func saslUser(mech string, message []byte) string {
	switch {
	case mech == "PLAIN": // RFC 4616: authzid NUL authcid NUL passwd
		parts := bytes.SplitN(message, []byte{0}, 3)
		if len(parts) != 3 {
			return ""
		}
		if len(parts[0]) > 0 {
			return string(parts[0])
		}
		return string(parts[1])
	case mech == "LOGIN": // draft-murchison-sasl-login: the user name, then the password
		return string(message)
	case mech == "EXTERNAL": // RFC 4422 appendix A: authzid, or nothing
		return string(message)
	case mech == "XOAUTH2": // user=… ^A auth=Bearer … ^A ^A
		return field(message, "user=", "\x01")
	case mech == "OAUTHBEARER": // RFC 7628: a GS2 header, then fields separated by ^A
		authzid, _ := gs2(message)
		return authzid
	case strings.HasPrefix(mech, "SCRAM-"): // RFC 5802 section 7: a GS2 header, then n=…,r=…
		authzid, rest := gs2(message)
		if authzid != "" {
			return authzid
		}
		return unescape(field(rest, "n=", ","))
	default:
		return ""
	}
}

// gs2 reads the header of RFC 5801 section 4, such as "n,a=karen,", and returns the authorization
// identity in it, "" if there is none, and what follows the header.
func gs2(message []byte) (authzid string, rest []byte) {
	parts := bytes.SplitN(message, []byte{','}, 3)
	if len(parts) != 3 {
		return "", nil
	}
	return unescape(field(parts[1], "a=", ",")), parts[2]
}

// field returns the value of the first of the fields in message that begins with name.
func field(message []byte, name, separator string) string {
	for part := range strings.SplitSeq(string(message), separator) {
		if value, ok := strings.CutPrefix(part, name); ok {
			return value
		}
	}
	return ""
}

// unescape decodes a saslname of RFC 5801.
var unescape = strings.NewReplacer("=2C", ",", "=2c", ",", "=3D", "=", "=3d", "=").Replace
