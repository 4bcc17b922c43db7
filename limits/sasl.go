package limits

import (
	"bytes"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/admission"
)

// AuthenticateMechanisms returns the backend's mechanisms, or none if the connection is about to be
// closed.
func (s *session) AuthenticateMechanisms() []string {
	if s.ending.Load() != nil {
		return nil
	}
	return s.Session.(imapserver.SessionSASL).AuthenticateMechanisms()
}

// Authenticate starts the backend's exchange, with the limits around each step.
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

// provenTimeout is how long a client that has sent its proof may take to finish the exchange.
const provenTimeout = 2 * time.Second

// exchange is a SASL exchange that learns from the client's messages who logs in. It holds nothing
// between two steps, so a client that cancels or goes silent costs nothing. There is one exception:
// a client that has sent its proof and was not rejected, as in SCRAM, keeps its attempt for up to
// provenTimeout. Otherwise a storm of such logins would cost more checks than other logins do.
type exchange struct {
	session   *session
	server    sasl.Server
	mech      string
	user      string
	owner     string          // whose password it is; not user if the client acts as somebody else
	proves    bool            // success proves that the client is the user
	messages  int             // number of the client's messages, without empty ones
	guess     admission.Guess // the hash of the owner and the last message that was not empty
	challenge []byte          // the last one
	failed    bool            // a failure was counted before the server returned its error

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
			e.owner = passwordOwner(e.mech, response)
		}
		key := s.limiter.settings.Load().userKey(e.owner)
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
		// The client may claim another's name, which some backends ignore: so no account.
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

// begin returns the attempt that is kept for this exchange, or begins one for its next step. Only
// the backend knows which step checks the password, but none does before the client has sent
// something.
func (e *exchange) begin(isCheck bool) (user string, _ *attempt, err error) {
	s := e.session
	var kept *attempt
	if e.proven != nil {
		user = s.limiter.settings.Load().userKey(e.user) // which may panic, so it comes first
		kept = e.resume()
	}
	if kept == nil {
		return s.begin(commandAuthenticate, e.user, e.owner, isCheck)
	}
	if end := s.ending.Load(); end != nil {
		kept.End()
		return "", nil, end.answer
	}
	kept.latest = time.Now().Add(loginWait)
	return user, kept, s.goOn(kept, commandAuthenticate, user, isCheck)
}

// refuseToken counts a bad bearer token. The server answers it with a challenge, and returns an
// error only after the client's reply (RFC 7628 section 3.2.3). refuseToken returns an error if
// this was the last failure allowed.
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

// resume returns the attempt that is kept for this exchange; nil if there is none any more.
func (e *exchange) resume() *attempt {
	attempt := e.proven
	e.proven = nil
	if attempt == nil || !e.expire.Stop() {
		return nil
	}
	return attempt
}

// drop gives up the attempt that is kept.
func (e *exchange) drop() {
	if attempt := e.resume(); attempt != nil {
		attempt.End()
	}
}

// asksForPassword reports whether LOGIN's last challenge asks for the password. The reply must not
// be taken for a name: a client can skip the user name with an empty initial response.
func (e *exchange) asksForPassword() bool {
	return e.mech == "LOGIN" && bytes.Contains(bytes.ToLower(e.challenge), []byte("pass"))
}

// password returns the password in the message, or the whole message if the mechanism is unknown.
// In a mechanism such as SCRAM each message differs, so each guess counts.
func (e *exchange) password(message []byte) string {
	if e.mech == "PLAIN" {
		message = message[bytes.LastIndexByte(message, 0)+1:]
	}
	return string(message)
}

// provesName reports whether success after this first message proves that the client is the user. A
// client that only names the user as the one to act as proves nothing: some backends ignore that
// name, and others accept a token whoever owns it.
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

// saslUser returns the user that the session will act as, from the client's first message: the
// authorization identity if there is one, otherwise the user name. It returns "" if the message
// does not say.
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

// passwordOwner returns the user whose password or proof the client sends, from its first message:
// the user name, whoever the session will act as. Otherwise a client could guess the passwords of
// others without a delay, by acting as one user who need not wait.
func passwordOwner(mech string, message []byte) string {
	switch {
	case mech == "PLAIN":
		if parts := bytes.SplitN(message, []byte{0}, 3); len(parts) == 3 {
			return string(parts[1])
		}
		return ""
	case strings.HasPrefix(mech, "SCRAM-"):
		_, rest := gs2(message)
		return unescape(field(rest, "n=", ","))
	default:
		return saslUser(mech, message)
	}
}

// gs2 parses the header of RFC 5801 section 4, such as "n,a=karen,". It returns the authorization
// identity in it, "" if there is none, and what follows the header.
func gs2(message []byte) (authzid string, rest []byte) {
	parts := bytes.SplitN(message, []byte{','}, 3)
	if len(parts) != 3 {
		return "", nil
	}
	return unescape(field(parts[1], "a=", ",")), parts[2]
}

// field returns the value of the first field in message that begins with name.
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
