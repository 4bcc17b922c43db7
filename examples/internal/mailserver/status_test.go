package mailserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

// get returns the answer to a GET.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func TestTheStatusShowsWhoHoldsWhat(t *testing.T) {
	s := startServer(
		t, "-status", "127.0.0.1:0", "-delay", "1m", "-max-fetches-per-user", "1", "-max-connections",
		"4",
	)
	page := "http://" + s.address("status") + "/"
	s.dial()
	first, second := s.selected("karen"), s.selected("karen")
	first.Send("a FETCH 1 FLAGS")
	second.Send("a FETCH 1 FLAGS")
	s.selected("bob")
	_, greeting := s.dial()
	assert.Contains(t, greeting, "BYE")

	var answer struct {
		Stats    limits.Stats
		Sessions []limits.SessionInfo
	}
	require.Eventually(t, func() bool {
		response, body := get(t, page+"status.json")
		assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		answer.Stats.ConnectionsEnding = 0
		return answer.Stats.Fetches+answer.Stats.FetchesWaiting == 2 && len(answer.Sessions) == 4
	}, patience, time.Millisecond)
	assert.Equal(t, limits.Stats{
		Connections: 4, Sessions: 3, Fetches: 1, FetchesWaiting: 1,
		Refused: limits.Refusals{Connections: 1},
	}, answer.Stats)
	require.Len(t, answer.Sessions, 4)
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), answer.Sessions[0].Addr.Addr())
	assert.False(t, answer.Sessions[0].LoggedIn)
	assert.Equal(t, "karen", answer.Sessions[1].User)

	_, body := get(t, page)
	for _, want := range []string{
		`<dt>Connections</dt><dd>4<small> of 4</small>`, `<b>1</b> Connections`, `<b>0</b> Logins per IP`,
		`<tr><td class="user" title="karen">karen</td><td class="n">2</td><td class="n">1</td>` +
			`<td class="n">1</td>`,
		`<small>1 waiting, 1 running, 2 silent</small>`, `<i>not logged in</i>`,
	} {
		assert.Contains(t, body, want)
	}
	assert.Equal(t, exitOK, s.stop())
	_, err := http.Get(page)
	assert.Error(t, err)
}

func TestTheStatusIsForThisMachineAndReadOnly(t *testing.T) {
	s := startServer(t, "-status", "localhost:0")
	address := s.address("status")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	for _, test := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/", "", http.StatusOK}, {"HEAD", "/", "", http.StatusOK},
		{"GET", "/status.json", "localhost:" + port, http.StatusOK},
		{"GET", "/status.css", "LOCALHOST", http.StatusOK},
		{"GET", "/status.js", "[::1]:" + port, http.StatusOK},
		{"GET", "/", "example.org:" + port, http.StatusForbidden},
		{"GET", "/status.json", "localhost.example.org", http.StatusForbidden},
		{"GET", "/status.json", "127.0.0.1.example.org:" + port, http.StatusForbidden},
		{"GET", "/status.json", "192.0.2.1", http.StatusForbidden},
		{"POST", "/", "", http.StatusMethodNotAllowed},
		{"DELETE", "/status.json", "", http.StatusMethodNotAllowed},
		{"GET", "/status.html", "", http.StatusNotFound}, {"GET", "/status/", "", http.StatusNotFound},
	} {
		request, err := http.NewRequest(test.method, "http://"+address+test.path, nil)
		require.NoError(t, err)
		request.Host = test.host
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, test.want, response.StatusCode, "%v", test)
		if test.want == http.StatusOK {
			assert.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
			assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		}
	}
}

// hostile are names that a client, or who sets up an account, could choose.
var hostile = []string{
	`<script>document.title="broken"</script>`,
	`"><img src=x onerror=document.title='broken'>`,
	`'-alert(1)-'`,
	"</td></tr></table><h1>x",
	"{{.}}",
	"\x00\x1b[31m\r\n\u202etxt.exe\u200b",
	"\xff\xfe",
	strings.Repeat("x", 50<<10),
	strings.Repeat("\u0301", 50<<10),
}

// fakeLimiter has one session more at each look.
type fakeLimiter struct {
	looks    atomic.Int64
	sessions []limits.SessionInfo
	ended    atomic.Uint64 // the ID of the session that was ended last
}

func (f *fakeLimiter) Options() *limits.Options { return limits.DefaultOptions() }

func (f *fakeLimiter) Disconnect(id uint64, _ string) bool {
	f.ended.Store(id)
	return true
}

func (f *fakeLimiter) Sessions() []limits.SessionInfo {
	return append([]limits.SessionInfo(nil), f.sessions...)
}

func (f *fakeLimiter) Stats() limits.Stats {
	return limits.Stats{
		Connections: 7000 + int(
			f.looks.Add(1),
		), Sessions: len(f.sessions), Fetches: 50, FetchesWaiting: 9, Searches: 7, SearchesJoined: 3,
		Refused: limits.Refusals{LoginsPerUser: 180, Fetches: 12},
		Total:   limits.Totals{Left: 4},
	}
}

// manySessions returns what n connections could be doing.
func manySessions(n int, names []string) []limits.SessionInfo {
	commands := []string{"", "IDLE", "FETCH", "SEARCH", "", "IDLE", "FETCH", "COPY", "IDLE", "SELECT"}
	sessions := make([]limits.SessionInfo, n)
	for i := range sessions {
		since := time.Duration(i*i) * 120 * time.Millisecond
		sessions[i] = limits.SessionInfo{
			ID:        uint64(i + 1),
			User:      names[i*i*5/3%len(names)],
			Addr:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 60)}), 50000),
			TLS:       i%3 > 0,
			LoggedIn:  i%17 > 0,
			Connected: time.Now().Add(-since - time.Duration(i)*100*time.Second),
			Command:   commands[i%len(commands)],
			Waiting:   i%len(commands) == 6,
			Since:     time.Now().Add(-since),
		}
		if i%11 == 5 {
			sessions[i].Addr = netip.MustParseAddrPort("[2001:db8:85a3:1234:5678:8a2e:370:7334]:50000")
		}
		if !sessions[i].LoggedIn {
			sessions[i].User, sessions[i].Command, sessions[i].Waiting = "", "", false
		}
	}
	return sessions
}

func serveStatus(t *testing.T, limiter *fakeLimiter) string {
	s := &status{limiter: limiter, started: time.Now().Add(-50 * time.Hour)}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	return server.URL
}

func TestNamesAreHarmless(t *testing.T) {
	url := serveStatus(t, &fakeLimiter{sessions: manySessions(100, hostile)})
	_, page := get(t, url)
	assert.Equal(t, 1, strings.Count(page, "<script"), "its own")
	assert.NotContains(t, page, "<img")
	assert.Equal(t, 1, strings.Count(page, "<h1>"))
	assert.Contains(t, page, "&lt;script&gt;document.title=&#34;broken&#34;&lt;/script&gt;")
	assert.Less(t, len(page), 100<<10)
	_, text := get(t, url+"/status.json")
	assert.Less(t, len(text), 100<<10)
	assert.NotContains(t, text, "<")
	for _, body := range []string{page, text} {
		assert.False(t, strings.ContainsFunc(body, func(r rune) bool {
			return !unicode.IsGraphic(r) && r != '\n' && r != '\t'
		}))
	}
}

func TestALongTableIsCut(t *testing.T) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprint("user", i))
	}
	limiter := &fakeLimiter{sessions: manySessions(2000, names)}
	_, page := get(t, serveStatus(t, limiter))
	assert.LessOrEqual(t, strings.Count(page, "<tr"), 2*(maxRows+1))
	assert.Contains(t, page, "1500 more are in the JSON.")
	_, page = get(t, serveStatus(t, &fakeLimiter{}))
	assert.Contains(t, page, "Nobody is logged in.")
	assert.Contains(t, page, "There is no connection.")
}

func TestTimeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0.0 s",
		9940 * time.Millisecond:       "9.9 s",
		59*time.Second + 999:          "59 s",
		61 * time.Second:              "1 min 01 s",
		time.Hour:                     "1 h 00 min",
		50*time.Hour + 59*time.Minute: "2 d 02 h",
	} {
		assert.Equal(t, want, timeText(d))
	}
}

// With "go test -artifacts" the screenshot is kept.
func TestTheStatusInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	names := append([]string{"karen", "bob", "service@example.org", "Jürgen", "eve"}, hostile...)
	url := serveStatus(t, &fakeLimiter{sessions: manySessions(200, names)})
	screenshot := filepath.Join(t.ArtifactDir(), "status.png")
	page := browse(t, browser, url, "--dump-dom")
	assert.Contains(t, page, "<title>imapgate: who holds what</title>")
	assert.Equal(t, 1, strings.Count(page, "<script"))
	assert.NotContains(t, page, "<img")
	assert.Contains(t, page, "&lt;script&gt;")
	assert.Regexp(t, regexp.MustCompile(`<p id="lost" hidden`), page)
	assert.NotContains(t, page, "<dd>7001<", "it has been refreshed")
	assert.Equal(t, 200, strings.Count(page, `<tr class="`))

	browse(t, browser, url, "--screenshot="+screenshot, "--window-size=1280,6500")
	image, err := os.Stat(screenshot)
	require.NoError(t, err)
	assert.Greater(t, image.Size(), int64(50<<10))
}

// browse shows a page in a browser for some seconds, and returns what that prints.
func browse(t *testing.T, browser, url string, args ...string) string {
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir=" + t.TempDir(), "--virtual-time-budget=7000",
	}, args...)
	output, err := exec.CommandContext(t.Context(), browser, append(args, url)...).Output()
	require.NoError(t, err)
	return string(output)
}

var tokenOfPage = regexp.MustCompile(`name="token" value="([^"]+)"`)

func TestSessionsAreEndedOnThePage(t *testing.T) {
	s := startServer(t, "-status", "127.0.0.1:0", "-status-admin")
	origin := "http://" + s.address("status")
	c := s.selected("karen")
	var answer struct{ Sessions []limits.SessionInfo }
	_, body := get(t, origin+"/status.json")
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Len(t, answer.Sessions, 1)
	id := fmt.Sprint(answer.Sessions[0].ID)
	response, page := get(t, origin)
	assert.Contains(t, response.Header.Get("Content-Security-Policy"), "form-action 'self'")
	token := tokenOfPage.FindStringSubmatch(page)
	require.NotNil(t, token)
	fetchedFrom := func(site string) map[string]string {
		return map[string]string{"Sec-Fetch-Site": site}
	}
	same := map[string]string{"Origin": origin, "Sec-Fetch-Site": "same-origin"}
	for name, test := range map[string]struct {
		id, token string
		header    map[string]string
		want      int
	}{
		"another site":      {id, token[1], fetchedFrom("cross-site"), http.StatusForbidden},
		"a site next to it": {id, token[1], fetchedFrom("same-site"), http.StatusForbidden},
		"another origin": {
			id, token[1], map[string]string{"Origin": "http://example.org"}, http.StatusForbidden,
		},
		"no origin": {id, token[1], map[string]string{"Origin": "null"}, http.StatusForbidden},
		"another host": {
			id, token[1], map[string]string{"Host": "example.org"}, http.StatusForbidden,
		},
		"no token":             {id, "", same, http.StatusForbidden},
		"another token":        {id, token[1] + "A", same, http.StatusForbidden},
		"no session":           {"", token[1], same, http.StatusNotFound},
		"an unknown session":   {"12345", token[1], same, http.StatusNotFound},
		"more than a form has": {id + strings.Repeat(" ", 2000), token[1], same, http.StatusForbidden},
	} {
		assert.Equal(t, test.want, post(t, origin, test.id, test.token, test.header), name)
	}
	assert.Contains(t, c.Cmd("n NOOP")[0], "n OK")
	assert.Equal(t, http.StatusSeeOther, post(t, origin, id, token[1], same))
	assert.Equal(t, "* BYE An administrator has ended this session", c.Line())
	assert.Eventually(t, func() bool {
		return post(t, origin, id, token[1], same) == http.StatusNotFound
	}, patience, time.Millisecond)
}

// post sends the form of a button, and returns the status of the answer.
func post(t *testing.T, origin, id, token string, header map[string]string) int {
	form := url.Values{"id": {id}, "token": {token}}
	request, err := http.NewRequest("POST", origin+"/disconnect", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.Host = header["Host"]
	response, err := http.DefaultTransport.RoundTrip(request) // no redirect
	require.NoError(t, err)
	response.Body.Close()
	return response.StatusCode
}

func TestSessionsAreEndedOnlyWithTheFlag(t *testing.T) {
	s := startServer(t, "-status", "127.0.0.1:0")
	origin := "http://" + s.address("status")
	s.selected("karen")
	response, page := get(t, origin)
	assert.NotContains(t, page, "<button")
	assert.NotContains(t, page, "<form")
	assert.Contains(t, response.Header.Get("Content-Security-Policy"), "form-action 'none'")
	assert.Equal(t, http.StatusNotFound, post(t, origin, "1", "", nil))
}

// The button is pressed in a browser, which is told by a script in place of a hand.
func TestTheButtonInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	limiter := &fakeLimiter{sessions: manySessions(20, []string{"karen", "bob"})}
	s := &status{limiter: limiter, started: time.Now(), token: "secret"}
	handler := s.handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status.js" && limiter.ended.Load() == 0 {
			w.Header().Set("Content-Type", "text/javascript")
			io.WriteString(w, `document.querySelector("input[value='7'] + button").click();`)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	page := browse(t, browser, server.URL, "--dump-dom")
	assert.EqualValues(t, 7, limiter.ended.Load())
	assert.Contains(t, page, "<title>imapgate: who holds what</title>", "it shows the page again")
}

func TestASessionThatIsEndingIsShownSo(t *testing.T) {
	sessions := manySessions(3, []string{"karen"})
	sessions[1].Ending = true
	s := &status{limiter: &fakeLimiter{sessions: sessions}, started: time.Now(), token: "secret"}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	_, page := get(t, server.URL)
	assert.Contains(t, page, `<tr class="ending"><td class="n">2</td>`)
	assert.Equal(t, 2, strings.Count(page, "<button>"))
}

// Each number of the stats that is about now is on the page, with the limit that it has.
func TestGauges(t *testing.T) {
	var stats limits.Stats
	numbers := reflect.ValueOf(&stats).Elem()
	for i := range numbers.NumField() {
		if field := numbers.Field(i); field.Kind() == reflect.Int {
			field.SetInt(int64(1000 + i))
		}
	}
	options := limits.DefaultOptions()
	shown := make(map[int]bool)
	for _, gauge := range gauges(options, stats) {
		shown[gauge.Now] = true
		for _, also := range gauge.Also {
			shown[int(also.Count)] = true
		}
		if gauge.Name == "Fetches" {
			assert.Equal(t, options.MaxFetches, gauge.Max)
			assert.Equal(t, "waiting", gauge.Also[0].Name)
		}
	}
	for i := range numbers.NumField() {
		if numbers.Field(i).Kind() == reflect.Int {
			assert.True(t, shown[1000+i], numbers.Type().Field(i).Name)
		}
	}
}

// What the page and the JSON cost where there are 10,000 connections of 2,000 users.
//
//	go test -run '^$' -bench StatusPage ./examples/server
func BenchmarkStatusPage(b *testing.B) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprint("user", i))
	}
	limiter := &fakeLimiter{sessions: manySessions(10_000, names)}
	handler := (&status{limiter: limiter, started: time.Now()}).handler()
	for _, path := range []string{"/", "/status.json"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
				handler.ServeHTTP(discard{http.Header{}}, request)
			}
		})
	}
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
