package limits

import (
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/layers"
)

// Login logs in if the limits allow it. The package comment says when the backend is asked.
func (s *session) Login(username, password string) error {
	defer s.sayBye()
	user, attempt, err := s.begin(commandLogin, username, username, true)
	if err != nil {
		return err
	}
	defer attempt.End()
	if err := s.Session.Login(username, password); err != nil {
		return s.fail(commandLogin, username, s.limiter.guesses.Guess(user, password), err)
	}
	s.noteRight(user)
	return s.admit(commandLogin, attempt, user, username)
}

// begin waits until a login may be checked, and with isCheck also for a slot for the check.
// username is the name that the client gave, "" if none yet, and owner that of the user whose
// password it is. begin returns the user's key and the attempt, or the answer to a login that is
// refused.
func (s *session) begin(
	command, username, owner string, isCheck bool,
) (user string, _ *attempt, err error) {
	if e := s.ending.Load(); e != nil {
		return "", nil, e.answer
	}
	settings := s.limiter.settings.Load()
	user = settings.userKey(username)
	ownerKey := user
	if owner != username {
		ownerKey = settings.userKey(owner)
	}
	if err := s.identify(user); err != nil {
		return "", nil, err
	}
	a := s.ask(user)
	a.owner = ownerKey
	if a.Refusal.Is() {
		return "", nil, s.refuseLogin(command, user, a)
	}
	if err := s.goOn(a, command, user, isCheck); err != nil {
		return "", nil, err
	}
	return user, a, nil
}

// goOn waits for all that the attempt needs to continue, and reports the whole wait. If it returns
// an error, it has ended the attempt.
func (s *session) goOn(a *attempt, command, user string, isCheck bool) error {
	ok := false
	defer func() {
		if !ok { // refused, or a callback has panicked
			a.End()
		}
	}()
	if isCheck {
		if err := s.awaitCheck(a, command, user); err != nil {
			return s.refuseCheck(err)
		}
	}
	waited := a.Waited
	if !a.check.shadow {
		waited += a.check.Waited()
	}
	if waited > 0 {
		s.report(Event{Kind: EventAdmitted, Command: command, User: user, Waited: waited})
	}
	if waited > 0 || a.delayed {
		s.renewDeadlines()
	}
	a.Waited, a.delayed = 0, false
	ok = true
	return nil
}

// awaitCheck waits until the client's network may make a check, and for a slot. If a wrong password
// arrives from the network while it waits for the slot, it gives the slot back and waits again.
func (s *session) awaitCheck(a *attempt, command, user string) error {
	for {
		if err := s.awaitGuesses(a, command, user); err != nil {
			return err
		}
		a.check = turn{command: command, user: user, key: s.holdTurn(), latest: a.latest}
		if err := s.take(&a.check, &s.limiter.checks, a.check.key); err != nil {
			return err
		}
		by, _ := s.guessDelay(a.owner)
		if !by.IsValid() || a.guess.queue != nil || s.dryRun() {
			return nil
		}
		a.endCheck()
	}
}

// refuseCheck returns the answer to a login that got no check. The client may try again, unless it
// is gone or the limiter is closed.
func (s *session) refuseCheck(err error) error {
	switch err {
	case ErrClosed:
		return s.endLogin(ErrClosed)
	case errClientGone:
		return s.endLogin(errClientGone)
	}
	s.renewDeadlines()
	return err
}

// ask asks for an attempt, and waits for it. If the user is at the limit, it asks once more when
// another session makes room.
func (s *session) ask(user string) *attempt {
	start := time.Now()
	a := s.askOnce(user, start)
	full := a.Refusal.Reason == admission.UserFull && !a.Refusal.TimedOut
	if full && s.limiter.logins.MakeRoom(user, sweep) {
		waited := a.Waited
		a = s.askOnce(user, start)
		a.Waited = max(a.Waited, waited)
	}
	return a
}

// askOnce asks for an attempt, and waits for it until loginWait after the start.
func (s *session) askOnce(user string, start time.Time) *attempt {
	a := &attempt{session: s, latest: start.Add(loginWait)}
	caller := s.loginCaller(user)
	caller.Start = start
	a.Attempt = s.limiter.logins.Ask(caller)
	if !a.Waiting() {
		return a
	}
	w := s.wait()
	defer s.endWait(w)
	a.Wait(w.gone)
	if !a.Refusal.Is() && s.socket.HungUp() {
		a.End()
		a.Refusal = admission.Refusal{Reason: admission.Gone}
	}
	return a
}

func (s *session) loginCaller(user string) admission.LoginCaller {
	caller := admission.LoginCaller{User: user, Network: s.ip, Limits: s.loginLimits}
	if s.addr.IsValid() {
		caller.Pair = network(s.addr)
	}
	return caller
}

// refuseLogin refuses a login that got no attempt, and closes the connection. There is one
// exception: if it waited for other logins of its user, which wait because of wrong passwords, the
// refusal names the wrong passwords, and the connection stays open.
func (s *session) refuseLogin(command, user string, a *attempt) error {
	event := Event{Command: command, User: user, Waited: a.Waited}
	if by, _ := s.guessDelay(a.owner); by.IsValid() && a.Refusal.TimedOut {
		r := s.delayReached()
		r.timedOut = true
		s.refuse(event, r)
		s.renewDeadlines()
		return r.answer()
	}
	r := loginRefusal(a.Refusal)
	s.refuse(event, r)
	return s.endLogin(r.answer())
}

// renewDeadlines gives the command go-imap's full time again, as the wait has used it up. LOGIN
// does not need that, but AUTHENTICATE does.
func (s *session) renewDeadlines() {
	const serverTimeout = 30 * time.Second
	s.conn.NetConn().SetDeadline(time.Now().Add(serverTimeout))
}

// admit counts a session that the backend has logged in as one of the user's. Options.Username may
// replace the name. It returns the answer to a login that is refused.
func (s *session) admit(command string, attempt *attempt, user, account string) error {
	if e := s.ending.Load(); e != nil {
		return e.answer // its time has run out meanwhile
	}
	s.activity.finish() // its silence begins now: while the cluster is asked, it cannot be evicted
	settings := s.limiter.settings.Load()
	if settings.Username != nil {
		if name := settings.Username(keep.Backend(s.Session)); name != "" {
			user, account = settings.userKey(name), name
			s.noteRight(user)
			if err := s.identify(user); err != nil {
				return err
			}
		}
	}
	in, evicted, refused := attempt.Admit(user, s)
	if refused.Reason == admission.UserFull && s.limiter.logins.MakeRoom(user, sweep) {
		in, evicted, refused = attempt.Admit(user, s)
	}
	s.login = in
	evictAll(evicted)
	if refused.Is() {
		r := loginRefusal(refused)
		if s.refuse(Event{Command: command, User: user}, r) {
			return s.endLogin(r.answer())
		}
		s.login = attempt.AdmitAnyway(user, s)
	}
	j := joining{s, command, attempt, user, evicted, refused.Is()}
	if err := j.join(); err != nil {
		return err
	}
	s.user, s.account.name = user, strings.Clone(account)
	if conn, ok := layers.Find[*tls.Conn](s.conn.NetConn()); ok {
		s.account.serverName = conn.ConnectionState().ServerName
	}
	s.turn.Release()
	s.turn = s.holdTurn()
	s.timers.Lock()
	s.loggedIn = true
	if s.noLogin != nil {
		s.noLogin.Stop()
		s.noLogin = nil
	}
	s.timers.Unlock()
	return nil
}

// fail returns the backend's answer to a failed login, and counts it if the credentials were wrong.
// The last failure that is allowed closes the connection. The client loses the name that it tried,
// as a long one would cost memory for as long as the connection lasts.
func (s *session) fail(command, username string, guess admission.Guess, err error) error {
	defer s.identify("")
	if !wrongCredentials(err) {
		return err
	}
	s.failed++
	s.noteWrong(guess)
	event := Event{Command: command, User: s.limiter.settings.Load().userKey(username)}
	most := s.limits.Load().MaxFailedLogins
	wrong := event
	wrong.Kind = EventFailed
	s.report(wrong)
	if most > 0 && s.failed >= most {
		if s.refuse(event, refusal{limit: maxFailedLogins, value: int64(most)}) {
			s.endWith(errTooManyFailedLogins, errTooManyFailedLogins.Text)
		}
	}
	return err
}

// wrongCredentials reports whether the error means a bad password, and not trouble of the server or
// the protocol.
func wrongCredentials(err error) bool {
	var bearer *sasl.OAuthBearerError
	if errors.As(err, &bearer) {
		return true
	}
	var answer *imap.Error
	if !errors.As(err, &answer) || answer.Type != imap.StatusResponseTypeNo {
		return false
	}
	switch answer.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeInUse,
		imap.ResponseCodeContactAdmin, imap.ResponseCodePrivacyRequired, imap.ResponseCodeLimit:
		return false
	default:
		return true
	}
}
