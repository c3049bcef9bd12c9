"""Errors of the accounts app. Each has a stable code and an HTTP status."""

from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict, DomainError, NotFound, TemporarilyUnavailable
from contextmcp.common.problems import Forbidden, Unauthenticated

__all__ = [
    "AccountInactive",
    "AddressAlreadyVerified",
    "AddressInUse",
    "AlreadyInvited",
    "AlreadyMember",
    "CustomerNotFound",
    "CustomerRequired",
    "EmailNotConfirmed",
    "EnvironmentMismatch",
    "HourlyLimitReached",
    "InsufficientScope",
    "InvalidKeyFormat",
    "InvitationExpired",
    "InvitationNotFound",
    "InvitationUsed",
    "InviterNotAllowed",
    "KeyAlreadyRotated",
    "KeyEnded",
    "KeyExpired",
    "KeyHasCreator",
    "KeyLimitReached",
    "KeyNotFound",
    "KeyRevoked",
    "KeyScopesNotHeld",
    "LastOwner",
    "NoSecondFactor",
    "OnlyOwner",
    "OrganizationClosed",
    "OrganizationLimitReached",
    "OwnOrganization",
    "OwnSecondFactor",
    "OwnerRequired",
    "PermissionDenied",
    "ReauthenticationRequired",
    "SeatLimitReached",
    "ServiceKeyExists",
    "ServiceKeyRequired",
    "SignInRequired",
    "Unauthenticated",
    "VerificationBusy",
]


class InvalidKeyFormat(DomainError):
    code = "invalid_key_format"
    status = 401
    message = "The API key is malformed. Check that it was copied completely."


class KeyNotFound(DomainError):
    code = "key_not_found"
    status = 401
    message = "This API key does not exist."


class KeyExpired(DomainError):
    """Details: `expired_at`."""

    code = "key_expired"
    status = 401
    message = "This API key has expired. Create a new one."


class KeyRevoked(DomainError):
    code = "key_revoked"
    status = 401
    message = "This API key was revoked."


class EnvironmentMismatch(DomainError):
    """Details: `expected` and `presented`, each live or test."""

    code = "environment_mismatch"
    status = 401
    message = "This API key belongs to another environment. Use a live key on the live service and a test key on the test service."


class InsufficientScope(DomainError):
    """Details: `required` (a scope) and `scopes` (those of the key)."""

    code = "insufficient_scope"
    status = 403
    message = "This API key does not have the required scope."


class PermissionDenied(Forbidden):
    """The caller's role does not allow the request. Details, if a permission is missing: `required` and `role`."""


class SignInRequired(DomainError):
    """An API key requested a change that requires a signed-in person. Details: `role`, the role to be assigned or removed."""

    code = "sign_in_required"
    status = 403
    message = "An API key cannot do this. Sign in and make the change on the website."


class ReauthenticationRequired(DomainError):
    """A sensitive change was requested by a session whose last authentication is too old."""

    code = "reauthentication_required"
    status = 403
    message = "Confirm your identity: enter your password or second factor at /accounts/reauthenticate/, then repeat the request."


class ServiceKeyRequired(DomainError):
    """A customer's key or session requested an operation that is reserved for service keys."""

    code = "service_key_required"
    status = 403
    message = "Only a service key can report or correct usage. A customer's API key can authorize, check and read."


class CustomerRequired(DomainError):
    """A request with a service key did not name the customer, or named it more than once."""

    code = "customer_required"
    status = 422
    message = "Name the customer by exactly one of credential and organizationId."


class CustomerNotFound(NotFound):
    """A request with a service key named an organization that does not exist or is closed."""

    code = "customer_not_found"
    message = "This organization does not exist."


class VerificationBusy(TemporarilyUnavailable):
    """All threads that run bcrypt are busy. The caller's own limits are not the reason. Details: `retry_after` (seconds)."""

    message = _("The server is busy checking API keys. Try again in a moment.")


class EmailNotConfirmed(DomainError):
    """The operation requires a confirmed email address."""

    code = "email_not_confirmed"
    status = 403
    message = _("Confirm your email address first. The link is in the email that we sent you.")


class OrganizationLimitReached(Conflict):
    """The user already owns the maximum number of organizations. Details: `limit`."""

    code = "organization_limit_reached"
    message = _("You own the maximum number of organizations.")


class KeyLimitReached(Conflict):
    """The organization already has the maximum number of active keys. Details: `limit`, `used`."""

    code = "api_key_limit_reached"
    message = _("This organization has the maximum number of active API keys. Revoke one that is no longer used.")


class HourlyLimitReached(DomainError):
    """An hourly or daily limit on key creation or invitation emails is reached. Details: `limit`, `retry_after` (seconds)."""

    code = "rate_limited"
    status = 429
    message = _("Too many requests. Try again later.")


class KeyEnded(Conflict):
    """A key that is revoked or expired cannot be rotated or taken over. Details: `state`."""

    code = "key_already_ended"
    message = _("This API key is expired or revoked. Create a new one.")


class KeyAlreadyRotated(Conflict):
    code = "key_already_rotated"
    message = _("This API key was already rotated. Use its successor, or revoke the successor first.")


class KeyHasCreator(Conflict):
    """Only the key of a former member can be taken over."""

    code = "key_creator_present"
    message = _("The member who created this API key still belongs to the organization.")


class KeyScopesNotHeld(Conflict):
    code = "key_scopes_not_held"
    message = _("You have none of the scopes of this API key. Create a new one.")


class AlreadyMember(Conflict):
    code = "already_member"
    message = _("This person is already a member.")


class AlreadyInvited(Conflict):
    code = "already_invited"
    message = _("This address has already been invited. Resend the invitation, or revoke it first.")


class OnlyOwner(Conflict):
    """The user cannot delete their account while they are the only owner of `organizations` (names)."""

    code = "only_owner"
    message = _("You are the only owner of an organization. Make another member an owner, or close it first.")


class StaffAccountNotDeletable(Conflict):
    code = "staff_account"
    message = _("This account belongs to staff. Ask an owner of the admin to remove its rights first.")


class LastOwner(Conflict):
    code = "last_owner"
    message = _("An organization must have an owner. Give another member the owner role first.")


class InvitationNotFound(NotFound):
    code = "invitation_not_found"
    message = _("This invitation is not valid. It may have been used or revoked.")


class InvitationUsed(InvitationNotFound):
    """The invitation was accepted."""

    code = "invitation_used"
    message = _("This invitation was already used.")


class InvitationExpired(Conflict):
    code = "invitation_expired"
    message = _("This invitation has expired. Ask for a new one.")


class SeatLimitReached(DomainError):
    """Details: `feature`, `limit`, `used`."""

    code = "limit_reached"
    status = 429
    message = _("All seats of this plan are in use.")


class AddressInUse(Conflict):
    code = "email_address_in_use"
    message = _("Another account uses this email address.")


class AddressAlreadyVerified(Conflict):
    code = "email_address_already_verified"
    message = "This email address is already verified."


class AccountInactive(Conflict):
    code = "account_inactive"
    message = "This account is inactive."


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    message = "This user has no second factor."


class OwnSecondFactor(Conflict):
    """Staff change their own second factors on the account pages."""

    code = "own_second_factor"
    message = "You cannot reset your own second factor here. Use the account pages."


class OwnerRequired(Conflict):
    """Only owners (superusers) may change accounts of staff."""

    code = "owner_required"
    message = "Only an owner can reset the second factor of a staff member."


class OrganizationClosed(Conflict):
    code = "organization_closed"
    message = _("This organization is already closed.")


class ServiceKeyExists(Conflict):
    """The form of a new service key was submitted again. The text of a key is shown only once."""

    code = "service_key_exists"
    message = "This key was already created. It cannot be shown again. Rotate it if it was not copied."


class NotImpersonatable(Conflict):
    """Staff cannot view the product as staff, as an inactive user, or in a closed organization."""

    code = "not_impersonatable"
    message = "You can view the product only as an active member who is not staff, and only in an open organization."


class InviterNotAllowed(Conflict):
    code = "inviter_not_allowed"
    message = "The sender of this invitation left or can no longer invite members. An owner or admin must send a new invitation."


class NoKeysSelected(Conflict):
    code = "no_keys_selected"
    message = "There are no API keys to change. They may already have been revoked or reassigned."


class OrganizationOpen(Conflict):
    code = "organization_open"
    message = "This organization is not closed."


class OwnRoleNotChangeable(Conflict):
    code = "own_role_not_changeable"
    message = "As staff, you cannot change your own role or transfer ownership to yourself. Ask a colleague."


class OwnershipNotTransferable(Conflict):
    code = "ownership_not_transferable"
    message = _("Choose a current owner, and an active member who is not an owner.")


class OwnOrganization(Forbidden):
    """A staff user tried to give a plan, limits, money or rights to an organization that they belong to."""

    code = "own_organization"
    message = "You are a member of this organization, so you cannot change its plan, limits, payments or roles. Ask a colleague."
