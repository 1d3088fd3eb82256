"""The page of the admins, and what becomes of those it shuts out."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.collection_names import ADMINS
from tests.browser.axe import violations
from tests.browser.conftest import (
    expect_mode,
    looked_at,
    open_dashboard,
    quick_service,
    sign_in,
)
from tests.browser.service import Service
from tests.provider import CLIENT_ID, CLIENT_SECRET, provider

pytestmark = pytest.mark.slow(30)

GUEST, PASSWORD = "guest@example.com", "a long enough password 7"


@pytest.fixture(scope="module")
def shared(
    mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Mongo]]:
    name = f"admins_{uuid.uuid4().hex[:8]}"
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=name)
    folder = tmp_path_factory.mktemp("admins")
    with (
        provider() as identities,
        contextlib.closing(connect(settings)) as mongo,
        quick_service(
            folder,
            mongodb_uri,
            name,
            DMSTATS_OIDC_ISSUER=identities.url,
            DMSTATS_OIDC_CLIENT_ID=CLIENT_ID,
            DMSTATS_OIDC_CLIENT_SECRET=CLIENT_SECRET,
            DMSTATS_OIDC_NAME="Example ID",
            DMSTATS_OIDC_UNKNOWN="created",
            DMSTATS_OIDC_DOMAINS="example.com",
        ) as service,
    ):
        identities.person["email"] = GUEST
        yield service, mongo


@pytest.fixture
def guarded(shared: tuple[Service, Mongo]) -> Service:
    """A service with its first admin alone, for the tests of this module."""
    service, mongo = shared
    mongo.db[ADMINS].delete_many({"email": GUEST})
    return service


@pytest.fixture
def admins(tab: Page, guarded: Service) -> Page:
    sign_in(tab.context, guarded)
    tab.goto(f"{guarded.url}/admins")
    expect(tab.locator("#rows tr")).to_have_count(1)
    return tab


def add(page: Page, email: str, password: str) -> None:
    form = page.locator("#add")
    form.get_by_label("Email").fill(email)
    form.get_by_label("Password").fill(password)
    form.get_by_role("button", name="Add").click()


def enter(page: Page, url: str) -> None:
    """Sign the guest in at ``url``."""
    credentials = {"email": GUEST, "password": PASSWORD}
    assert page.context.request.post(f"{url}/login", data=credentials).ok


def test_an_admin_is_added_and_shut_out_within_a_heartbeat(
    admins: Page, other_tab: Page, guarded: Service
) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.locator("#done")).to_have_text(f"{GUEST} can sign in now.")
    enter(other_tab, guarded.url)
    open_dashboard(other_tab, guarded)
    admins.get_by_role("button", name=f"Disable {GUEST}").click()
    expect(admins.locator("#done")).to_contain_text("is disabled")
    expect_mode(other_tab, "expired", seconds=40)
    admins.get_by_role("button", name=f"Enable {GUEST}").click()
    expect(admins.locator("#done")).to_contain_text("can sign in again")


def test_a_viewer_sees_only_what_a_viewer_may_do(
    admins: Page, other_tab: Page, guarded: Service
) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.get_by_label(f"Role of {GUEST}")).to_have_value("viewer")
    page = looked_at(other_tab, 390)
    enter(page, guarded.url)
    open_dashboard(page, guarded)
    expect(page.get_by_role("button", name="Refresh")).to_have_count(0)
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    page.goto(f"{guarded.url}/admins")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    assert violations(page) == []
    page.goto(f"{guarded.url}/me")
    form = page.locator("#change")
    form.get_by_label("Current password").fill(PASSWORD)
    form.get_by_label("New password").fill("another long password 7")
    form.get_by_role("button", name="Change").click()
    expect(page.locator("#done")).to_have_text("Your password was changed.")
    assert violations(page) == []
    admins.get_by_label(f"Role of {GUEST}").select_option("operator")
    expect(admins.locator("#done")).to_have_text(f"{GUEST} is now operator.")
    page.reload()
    expect(page).to_have_title("Sign in · dmstats")


def test_a_second_factor_is_set_up_and_asked_for(
    admins: Page, other_tab: Page, guarded: Service
) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.locator("#done")).to_have_text(f"{GUEST} can sign in now.")
    page = looked_at(other_tab, 390)
    enter(page, guarded.url)
    page.goto(f"{guarded.url}/me")
    form = page.locator("#begin")
    form.get_by_label("Your password").fill(PASSWORD)
    form.get_by_role("button", name="Set up").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    assert page.locator("#qr").evaluate("image => image.decode().then(() => image.naturalWidth)")
    app = pyotp.TOTP(page.locator("#factor-secret").inner_text())
    assert violations(page) == []
    page.get_by_label("Code", exact=True).fill(app.now())
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#recovery")).to_be_focused()
    recovery = page.locator("#recovery-codes").inner_text().split()
    assert len(recovery) == 10
    assert violations(page) == []
    page.goto(f"{guarded.url}/me")
    renewing = page.locator("#renew")
    renewing.get_by_label("Your password").fill(PASSWORD)
    renewing.get_by_role("button", name="Create new codes").click()
    expect(page.locator("#done")).to_contain_text("earlier recovery codes do not work any more")
    expect(page.locator("#recovery")).to_be_focused()
    renewed = page.locator("#recovery-codes").inner_text().split()
    assert len({*renewed} - {*recovery}) == 10
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Email").fill(GUEST)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("Second factor · dmstats")
    code = page.get_by_label("Code of your authenticator app")
    code.fill("not a code")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not correct")
    assert violations(page) == []
    code.fill(renewed[0])
    page.get_by_role("button", name="Sign in").click()
    expect_mode(page, "live")
    admins.reload()
    admins.get_by_role("button", name=f"Remove second factor: {GUEST}").click()
    expect(admins.get_by_label("Your own password")).to_be_focused()
    assert violations(admins) == []
    admins.get_by_label("Your own password").fill(guarded.password)
    admins.get_by_role("button", name="Remove", exact=True).click()
    expect(admins.locator("#done")).to_contain_text("with the password only")


@pytest.fixture
def device(other_tab: Page) -> Iterator[Page]:
    """A tab of a device that keeps passkeys, and finds its person present."""
    session = other_tab.context.new_cdp_session(other_tab)
    session.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
           "hasUserVerification": True, "isUserVerified": True,
           "automaticPresenceSimulation": True}  # fmt: skip
    session.send("WebAuthn.addVirtualAuthenticator", {"options": key})
    yield other_tab
    session.send("WebAuthn.disable")
    session.detach()


def test_a_passkey_is_added_used_and_removed(admins: Page, device: Page, guarded: Service) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.locator("#done")).to_have_text(f"{GUEST} can sign in now.")
    # Browsers know no passkeys of IP addresses.
    url = guarded.url.replace("127.0.0.1", "localhost")
    page = looked_at(device, 390)
    enter(page, url)
    page.goto(f"{url}/me")
    form = page.locator("#passkey-form")
    form.get_by_label("Name of a new passkey").fill("Work laptop")
    form.get_by_label("Your password").fill("not this one")
    form.get_by_role("button", name="Add a passkey").click()
    expect(page.locator("#problem")).to_contain_text("password is not correct")
    form.get_by_label("Your password").fill(PASSWORD)
    form.get_by_role("button", name="Add a passkey").click()
    expect(page.locator("#done")).to_have_text("The passkey Work laptop was added.")
    expect(page.locator("#passkey-list li")).to_contain_text("not used yet")
    expect(page.locator("#recovery")).to_be_focused()
    recovery = page.locator("#recovery-codes").inner_text().split()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Sign out", exact=True).click()
    with_passkey = page.get_by_role("button", name="Sign in with a passkey")
    expect(with_passkey).to_be_visible()
    assert violations(page) == []
    page.goto(f"{url}/login?next=/me")
    with_passkey.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{url}/me")
    expect(page.locator("#passkey-list li")).to_contain_text("last used")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Email").fill(GUEST)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading")).to_have_text("Use your passkey")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Recovery code").fill(recovery[0])
    page.keyboard.press("Enter")
    expect_mode(page, "live")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Email").fill(GUEST)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Use a passkey").click()
    expect_mode(page, "live")
    page.goto(f"{url}/me")
    page.locator("#passkey-password").fill(PASSWORD)
    page.get_by_role("button", name="Remove Work laptop").click()
    expect(page.locator("#done")).to_have_text("The passkey Work laptop was removed.")
    expect(page.locator("#passkey-list li")).to_have_count(0)
    page.get_by_role("button", name="Sign out", exact=True).click()
    with_passkey.click()
    expect(page.get_by_role("alert")).to_contain_text("passkey is unknown")
    assert violations(page) == []


def test_signing_in_by_a_provider(tab: Page, guarded: Service) -> None:
    page = looked_at(tab, 390)
    page.goto(f"{guarded.url}/me")
    assert violations(page) == []
    page.get_by_role("link", name="Sign in with Example ID").click()
    expect(page).to_have_url(f"{guarded.url}/me")
    expect(page.locator("#content")).to_contain_text(f"Signed in as {GUEST}, viewer")
    # Without a password, a sign-in has to do for which the provider has asked the person.
    page.locator("#begin").get_by_role("button", name="Set up").click()
    expect(page.get_by_role("alert")).to_contain_text("Sign out and in again first")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("link", name="Sign in with Example ID").click()
    expect(page.locator("#content")).to_contain_text("Messages")
    page.goto(f"{guarded.url}/me")
    page.locator("#begin").get_by_role("button", name="Set up").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    assert violations(page) == []
    page.locator("#change").get_by_label("New password").fill(PASSWORD)
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#done")).to_have_text("Your password was changed.")


def test_who_the_provider_refused_has_a_mark_that_says_why(
    admins: Page, shared: tuple[Service, Mongo]
) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.locator("#rows tr")).to_have_count(2)
    refusal = {"reason": "no-role", "at": datetime(2026, 11, 15, 12, tzinfo=UTC)}
    refused = {"$set": {"refused": True, "refusal": refusal}}
    shared[1].db[ADMINS].update_one({"email": GUEST}, refused)
    for width in (390, 1280):
        admins.set_viewport_size({"width": width, "height": 800})
        admins.reload()
        row = admins.locator("#rows tr", has_text=GUEST)
        expect(row.locator(".mark")).to_have_text("refused")
        expect(row).to_contain_text("The provider assigns no role")
        assert admins.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(admins) == []


def test_the_last_admin_stays_one(admins: Page, guarded: Service) -> None:
    role = admins.get_by_label(f"Role of {guarded.email}")
    role.select_option("viewer")
    expect(admins.get_by_role("alert")).to_contain_text("last admin")
    expect(role).to_have_value("admin")


def link_on(page: Page) -> str:
    """The link that is shown to be handed out."""
    expect(page.locator("#handout")).to_be_visible()
    expect(page.locator("#handout")).to_be_focused()
    return page.locator("#handout-link").inner_text()


def choose(page: Page, link: str, password: str) -> None:
    page.goto(link)
    expect(page).to_have_title("Choose a password · dmstats")
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Set the password").click()


def test_an_invited_admin_chooses_a_password(
    admins: Page, other_tab: Page, guarded: Service
) -> None:
    add(admins, GUEST, "")
    link = link_on(admins)
    assert violations(admins) == []
    expect(admins.locator("#rows")).to_contain_text("invited")
    guest = looked_at(other_tab, 390)
    choose(guest, link, "password1")
    expect(guest.get_by_role("alert")).to_contain_text("too common")
    assert violations(guest) == []
    guest.get_by_label("New password").fill(PASSWORD)
    guest.get_by_role("button", name="Set the password").click()
    expect(guest.get_by_role("status")).to_contain_text(GUEST)
    assert violations(guest) == []
    guest.get_by_role("link", name="Sign in").click()
    guest.get_by_label("Email").fill(GUEST)
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign in").click()
    expect_mode(guest, "live")
    guest.goto(link)
    expect(guest.get_by_role("alert")).to_contain_text("Links work once")
    assert violations(guest) == []
    admins.reload()
    expect(admins.locator("#rows tr")).to_have_count(2)
    expect(admins.locator("#rows")).not_to_contain_text("invited")


def test_a_link_for_a_lost_password_ends_the_sessions_once_it_is_used(
    admins: Page, other_tab: Page, guarded: Service, open_context: Callable[..., BrowserContext]
) -> None:
    add(admins, GUEST, PASSWORD)
    expect(admins.locator("#done")).to_have_text(f"{GUEST} can sign in now.")
    enter(other_tab, guarded.url)
    open_dashboard(other_tab, guarded)
    form = admins.locator("#change")
    form.get_by_label("Person").select_option(label=GUEST)
    form.get_by_label("Your own current password").fill(guarded.password)
    form.get_by_role("button", name="Change").click()
    link = link_on(admins)
    expect_mode(other_tab, "live")
    choose(open_context().new_page(), link, f"{PASSWORD} and more")
    expect_mode(other_tab, "expired")


def test_signing_out_everywhere(admins: Page, guarded: Service) -> None:
    guarded.session = []  # it ends here
    admins.get_by_role("button", name="Sign out everywhere").click()
    expect(admins).to_have_title("Sign in · dmstats")


def test_a_bad_password_is_refused_in_words(admins: Page) -> None:
    admins.evaluate("document.querySelector('#add').noValidate = true")
    add(admins, GUEST, "short")
    expect(admins.get_by_role("alert")).to_contain_text("at least 8 characters")
    expect(admins.locator("#rows tr")).to_have_count(1)


def test_changing_ones_own_password(admins: Page, guarded: Service) -> None:
    guarded.session = []  # it ends here
    form = admins.locator("#change")
    form.get_by_label("Your own current password").fill("not this one")
    form.get_by_label("New password").fill(PASSWORD)
    form.get_by_role("button", name="Change").click()
    expect(admins.get_by_role("alert")).to_contain_text("current password is not correct")
    form.get_by_label("Your own current password").fill(guarded.password)
    form.get_by_role("button", name="Change").click()
    expect(admins.locator("#done")).to_have_text("The password was changed.")
    guarded.password = PASSWORD
    admins.context.clear_cookies()
    sign_in(admins.context, guarded, alone=True)
